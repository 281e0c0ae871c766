import { defaultAddress } from "#transport";

/** Checks base URLs and returns them without their last slash. */
export function parseAddresses(addresses: string | readonly string[] = defaultAddress()): string[] {
  const list = typeof addresses === "string" ? [addresses] : [...addresses];
  if (list.length === 0) throw new TypeError("addresses is empty: name at least one gateway");
  return list.map((address) => {
    if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol))
      throw new TypeError(
        `the address ${JSON.stringify(address)} is no base URL like "http://localhost:50051"`,
      );
    return address.replace(/\/+$/, "");
  });
}
