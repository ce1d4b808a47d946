//! Countries by their ISO 3166 codes, with the codes of international numbers (ITU-T E.164, list of
//! assigned country codes).

use super::number;

/// A country whose national numbers are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country {
    /// Two letters (ISO 3166-1).
    pub iso: &'static str,
    /// The code in front of international numbers.
    pub code: &'static str,
}

impl Country {
    /// Returns the country of two letters, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        all().find(|country| country.iso.eq_ignore_ascii_case(text.trim()))
    }

    /// Returns the prefix of national numbers, which international ones lack; empty where the 0
    /// belongs to the number.
    fn trunk_prefix(self) -> &'static str {
        match self.code {
            "1" => "1",
            "7" => "8",
            "36" => "06",
            "39" | "225" | "242" | "378" | "379" => "",
            _ => "0",
        }
    }

    /// Returns an international number for a national one; `None` if the number is international
    /// or no number.
    pub fn international(self, address: &str) -> Option<String> {
        if !is_national(address) && !self.is_dialled(address) {
            return None;
        }
        let digits = number::canonical(address);
        Some(format!("+{}{}", self.code, digits.strip_prefix(self.trunk_prefix()).unwrap_or(&digits)))
    }

    /// Whether a number without 0 has the form in which it is dialled within its country: ten
    /// digits in North America, eleven with an 8 in front in Russia and Kazakhstan.
    fn is_dialled(self, address: &str) -> bool {
        let digits = number::canonical(address);
        let is_plain = is_plain(address) && digits.bytes().all(|b| b.is_ascii_digit());
        let first = digits.bytes().next().unwrap_or_default();
        match self.code {
            "1" => is_plain && digits.len() == 10 && matches!(first, b'2'..=b'9'),
            "7" => is_plain && digits.len() == 11 && first == b'8',
            _ => false,
        }
    }
}

fn all() -> impl Iterator<Item = Country> {
    COUNTRIES.split_ascii_whitespace().filter_map(|word| {
        let (iso, code) = word.split_at_checked(2)?;
        Some(Country { iso, code })
    })
}

/// Whether a number is written without `+` and without a type of number.
fn is_plain(address: &str) -> bool {
    !address.trim().starts_with('+') && !address.contains(";ton=")
}

/// Whether a number is written as within its country: it begins with one 0, and no international
/// number does.
pub fn is_national(address: &str) -> bool {
    const DIGITS_MIN: usize = 5;
    let digits = number::canonical(address);
    let has_one_0 = digits.starts_with('0') && !digits.starts_with("00");
    is_plain(address) && digits.len() >= DIGITS_MIN && has_one_0 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Each country's two letters and its code, in alphabetical order.
const COUNTRIES: &str = "AD376 AE971 AF93 AG1 AI1 AL355 AM374 AO244 AR54 AS1 AT43 AU61 AW297 AX358 AZ994 BA387 BB1 \
    BD880 BE32 BF226 BG359 BH973 BI257 BJ229 BL590 BM1 BN673 BO591 BQ599 BR55 BS1 BT975 BW267 \
    BY375 BZ501 CA1 CC61 CD243 CF236 CG242 CH41 CI225 CK682 CL56 CM237 CN86 CO57 CR506 CU53 \
    CV238 CW599 CX61 CY357 CZ420 DE49 DJ253 DK45 DM1 DO1 DZ213 EC593 EE372 EG20 EH212 ER291 ES34 \
    ET251 FI358 FJ679 FK500 FM691 FO298 FR33 GA241 GB44 GD1 GE995 GF594 GG44 GH233 GI350 GL299 \
    GM220 GN224 GP590 GQ240 GR30 GT502 GU1 GW245 GY592 HK852 HN504 HR385 HT509 HU36 ID62 IE353 \
    IL972 IM44 IN91 IO246 IQ964 IR98 IS354 IT39 JE44 JM1 JO962 JP81 KE254 KG996 KH855 KI686 \
    KM269 KN1 KP850 KR82 KW965 KY1 KZ7 LA856 LB961 LC1 LI423 LK94 LR231 LS266 LT370 LU352 LV371 \
    LY218 MA212 MC377 MD373 ME382 MF590 MG261 MH692 MK389 ML223 MM95 MN976 MO853 MP1 MQ596 MR222 \
    MS1 MT356 MU230 MV960 MW265 MX52 MY60 MZ258 NA264 NC687 NE227 NF672 NG234 NI505 NL31 NO47 \
    NP977 NR674 NU683 NZ64 OM968 PA507 PE51 PF689 PG675 PH63 PK92 PL48 PM508 PR1 PS970 PT351 \
    PW680 PY595 QA974 RE262 RO40 RS381 RU7 RW250 SA966 SB677 SC248 SD249 SE46 SG65 SH290 SI386 \
    SJ47 SK421 SL232 SM378 SN221 SO252 SR597 SS211 ST239 SV503 SX1 SY963 SZ268 TC1 TD235 TG228 \
    TH66 TJ992 TK690 TL670 TM993 TN216 TO676 TR90 TT1 TV688 TW886 TZ255 UA380 UG256 US1 UY598 \
    UZ998 VA39 VC1 VE58 VG1 VI1 VN84 VU678 WF681 WS685 XK383 YE967 YT262 ZA27 ZM260 ZW263";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn national_numbers_become_international() {
        for (country, number, expected) in [
            ("DE", "0176 123 45678", Some("+4917612345678")),
            ("de", "(030) 12345-67", Some("+49301234567")),
            ("GB", "07600 003300", Some("+447600003300")),
            ("IT", "06 1234 5678", Some("+390612345678")),
            ("RU", "8 912 345-67-89", Some("+79123456789")),
            ("HU", "06 30 123 4567", Some("+36301234567")),
            ("DE", "+49 176 12345678", None),
            ("DE", "4917612345678", None),
            ("DE", "004917612345678", None),
            ("DE", "0012345", None),
            ("US", "(555) 123-4567", Some("+15551234567")),
            ("US", "1 555 123 4567", None),
            ("CA", "+15551234567", None),
            ("DE", "5155", None),
            ("DE", "Ann", None),
            ("DE", "017612345678;ton=2", None),
        ] {
            let country = Country::parse(country).unwrap();
            assert_eq!(country.international(number).as_deref(), expected, "{number}");
        }
    }

    #[test]
    fn countries_are_in_order_and_unique() {
        let isos: Vec<&str> = all().map(|country| country.iso).collect();
        assert!(isos.windows(2).all(|pair| pair[0] < pair[1]));
        let is_code = |code: &str| (1..=3).contains(&code.len()) && code.parse::<u16>().is_ok();
        assert!(all().all(|country| is_code(country.code)));
        assert_eq!((isos.len() > 230, Country::parse("ZZ"), Country::parse("Germany")), (true, None, None));
    }
}
