import { currencySign, minorDigits } from "./currencies.js";
import type { Payment } from "./gen/payment/payment_pb.js";

/** What of a payment says how much. */
export type Money = Pick<Payment, "amount" | "amountMinor" | "currency">;

/**
 * A payment's amount as a decimal in major units: "50.00". It is exact: no double on the way from
 * amountMinor. Only where that is unset, the double is taken, with all of its digits.
 */
export function decimalAmount(payment: Money): string {
  const digits = minorDigits(payment.currency);
  if (digits === undefined || payment.amountMinor === undefined)
    return plain(payment.amount, digits ?? 0) ?? String(payment.amount);
  return fromMinor(payment.amountMinor, digits);
}

/**
 * A payment's amount for people: "$50.00 USD", "₹1,500.00 INR", "12.00 CHF". In en-US it is the text that
 * the gateway's own commands print; other locales (the default is the system's) have their own
 * separators and order. It does not round.
 */
export function formatMoney(payment: Money, locale?: string): string {
  const number = decimalAmount(payment);
  const sign = currencySign(payment.currency);
  const text = /^-?[\d.]+$/.test(number) ? localized(number, sign, locale) : sign + number;
  return `${text} ${payment.currency}`.trim();
}

function fromMinor(minor: bigint, digits: number): string {
  const number = (minor < 0n ? -minor : minor).toString().padStart(digits + 1, "0");
  const point = number.length - digits;
  const fraction = digits > 0 ? `.${number.slice(point)}` : "";
  return (minor < 0n ? "-" : "") + number.slice(0, point) + fraction;
}

/** Writes a double out with at least so many digits after the point; undefined where that is no use. */
function plain(amount: number, digits: number): string | undefined {
  const size = Math.abs(amount);
  if (!(size < 1e21) || (size > 0 && size < 1e-9)) return undefined;
  const [mantissa = "", exponent = "0"] = String(size).split("e-");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const zeros = Number(exponent); // 1.5e-7: such a number has one digit before the point
  const decimals = zeros > 0 ? `${"0".repeat(zeros - 1)}${whole}${fraction}` : fraction;
  const padded = decimals.padEnd(digits, "0");
  return `${amount < 0 ? "-" : ""}${zeros > 0 ? "0" : whole}${padded && `.${padded}`}`;
}

const formats = new Map<string, Intl.NumberFormat>();

/** Writes a decimal and a sign as the locale does. Intl takes the decimal's text, and so every digit. */
function localized(number: string, sign: string, locale: string | undefined): string {
  const digits = number.split(".")[1]?.length ?? 0;
  const parts = formatOf(locale, digits).formatToParts(number as `${number}`);
  const at = parts.findIndex((part) => part.type === "currency");
  if (sign) return parts.map((part, i) => (i === at ? sign : part.value)).join("");
  // Without a sign, the space between it and the number goes too.
  return parts
    .filter((part, i) => i !== at && !(part.type === "literal" && Math.abs(i - at) === 1))
    .map((part) => part.value)
    .join("");
}

function formatOf(locale: string | undefined, digits: number): Intl.NumberFormat {
  const key = `${locale} ${digits}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale, {
      style: "currency",
      currency: "USD", // its sign is replaced: the locale's order and separators are what is wanted
      currencyDisplay: "narrowSymbol",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
    formats.set(key, format);
  }
  return format;
}
