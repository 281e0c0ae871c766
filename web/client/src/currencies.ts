/**
 * ISO 4217's currencies by the digits of their minor units, and the signs that people know them by:
 * the same tables as the gateway's (payment/currency.go and payment/format.go), which a test compares.
 * CLDR's digits are other ones, and so are most of its symbols.
 */
const byDigits: Record<number, string> = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
  2:
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD " +
    "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP " +
    "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK " +
    "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO " +
    "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS " +
    "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST " +
    "XAD XCD XCG YER ZAR ZMW ZWG",
  3: "BHD IQD JOD KWD LYD OMR TND",
  4: "CLF UYW",
};

const symbols =
  "AUD$ BDT৳ BRLR$ CAD$ CNY¥ CRC₡ EUR€ GBP£ GEL₾ GHS₵ HKD$ ILS₪ INR₹ JPY¥ KRW₩ KZT₸ MXN$ NGN₦ NZD$ " +
  "PHP₱ PYG₲ SGD$ THB฿ TRY₺ UAH₴ USD$ VND₫";

const digits = new Map(
  Object.entries(byDigits).flatMap(([digits, codes]) =>
    codes.split(" ").map((code) => [code, Number(digits)] as const),
  ),
);
const signs = new Map(symbols.split(" ").map((entry) => [entry.slice(0, 3), entry.slice(3)] as const));

/** The digits of a currency's minor unit; undefined where ISO 4217 gives it none, or does not know it. */
export function minorDigits(currency: string): number | undefined {
  return digits.get(currency);
}

/** A currency's sign; empty where the code is what it is known by. */
export function currencySign(currency: string): string {
  return signs.get(currency) ?? "";
}
