export * from "./gen/payment/payment_pb.js";
export type * from "./types.js";
