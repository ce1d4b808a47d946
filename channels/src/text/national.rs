//! The supported national language tables of TS 23.038 annex A: Turkish, Spanish, Portuguese. A
//! language without a table returns `None`; it must never be read with another language's table.

use crate::text::default_tables::DEFAULT;

/// A language with a shift table, by its id in TS 23.038.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Id 1: single and locking shift.
    Turkish,
    /// Id 2: single shift only.
    Spanish,
    /// Id 3: single and locking shift.
    Portuguese,
}

impl Language {
    /// Returns the language's id in the header.
    pub fn id(self) -> u8 {
        match self {
            Language::Turkish => 1,
            Language::Spanish => 2,
            Language::Portuguese => 3,
        }
    }

    /// Returns whether the language has a locking shift table.
    pub fn locks(self) -> bool {
        locking(self.id()).is_some()
    }
}

/// Returns the table that replaces the default one, if the language has it.
pub(crate) fn locking(id: u8) -> Option<&'static [char; 128]> {
    match id {
        1 => Some(&TURKISH_LOCKING),
        3 => Some(&PORTUGUESE_LOCKING),
        _ => None,
    }
}

/// Returns the table that replaces the extension, if the language is known.
pub(crate) fn single(id: u8) -> Option<&'static [(u8, char)]> {
    match id {
        1 => Some(&TURKISH_SINGLE),
        2 => Some(&SPANISH_SINGLE),
        3 => Some(&PORTUGUESE_SINGLE),
        _ => None,
    }
}

/// Annex A.3.1 and A.3.3, as differences from the default table.
const TURKISH_LOCKING: [char; 128] = changed(&[
    (0x04, '€'),
    (0x07, 'ı'),
    (0x0B, 'Ğ'),
    (0x0C, 'ğ'),
    (0x1C, 'Ş'),
    (0x1D, 'ş'),
    (0x40, 'İ'),
    (0x60, 'ç'),
]);

const PORTUGUESE_LOCKING: [char; 128] = changed(&[
    (0x04, 'ê'),
    (0x06, 'ú'),
    (0x07, 'í'),
    (0x08, 'ó'),
    (0x09, 'ç'),
    (0x0B, 'Ô'),
    (0x0C, 'ô'),
    (0x0E, 'Á'),
    (0x0F, 'á'),
    (0x12, 'ª'),
    (0x13, 'Ç'),
    (0x14, 'À'),
    (0x15, '∞'),
    (0x16, '^'),
    (0x17, '\\'),
    (0x18, '€'),
    (0x19, 'Ó'),
    (0x1A, '|'),
    (0x1C, 'Â'),
    (0x1D, 'â'),
    (0x1E, 'Ê'),
    (0x24, 'º'),
    (0x40, 'Í'),
    (0x5B, 'Ã'),
    (0x5C, 'Õ'),
    (0x5D, 'Ú'),
    (0x60, '~'),
    (0x7B, 'ã'),
    (0x7C, 'õ'),
    (0x7D, '`'),
]);

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks the bounds")]
const fn changed(differences: &[(u8, char)]) -> [char; 128] {
    let mut table = DEFAULT;
    let mut at = 0;
    while at < differences.len() {
        table[differences[at].0 as usize] = differences[at].1;
        at += 1;
    }
    table
}

/// Annex A.2.1.
const TURKISH_SINGLE: [(u8, char); 17] = [
    (0x0A, '\u{0C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x47, 'Ğ'),
    (0x49, 'İ'),
    (0x53, 'Ş'),
    (0x63, 'ç'),
    (0x65, '€'),
    (0x67, 'ğ'),
    (0x69, 'ı'),
    (0x73, 'ş'),
];

/// Annex A.2.2.
const SPANISH_SINGLE: [(u8, char); 19] = [
    (0x09, 'ç'),
    (0x0A, '\u{0C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x41, 'Á'),
    (0x49, 'Í'),
    (0x4F, 'Ó'),
    (0x55, 'Ú'),
    (0x61, 'á'),
    (0x65, '€'),
    (0x69, 'í'),
    (0x6F, 'ó'),
    (0x75, 'ú'),
];

/// Annex A.2.3. The Greek capitals are here because the locking table lacks them.
const PORTUGUESE_SINGLE: [(u8, char); 37] = [
    (0x05, 'ê'),
    (0x09, 'ç'),
    (0x0A, '\u{0C}'),
    (0x0B, 'Ô'),
    (0x0C, 'ô'),
    (0x0E, 'Á'),
    (0x0F, 'á'),
    (0x12, 'Φ'),
    (0x13, 'Γ'),
    (0x14, '^'),
    (0x15, 'Ω'),
    (0x16, 'Π'),
    (0x17, 'Ψ'),
    (0x18, 'Σ'),
    (0x19, 'Θ'),
    (0x1F, 'Ê'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x41, 'À'),
    (0x49, 'Í'),
    (0x4F, 'Ó'),
    (0x55, 'Ú'),
    (0x5B, 'Ã'),
    (0x5C, 'Õ'),
    (0x61, 'Â'),
    (0x65, '€'),
    (0x69, 'í'),
    (0x6F, 'ó'),
    (0x75, 'ú'),
    (0x7B, 'ã'),
    (0x7C, 'õ'),
    (0x7F, 'â'),
];

#[cfg(test)]
mod tests {
    use crate::text::national::*;

    #[test]
    fn tables_hold_each_character_once_and_never_the_escape() {
        for id in 1..=3 {
            let table = single(id).unwrap();
            for (at, (code, c)) in table.iter().enumerate() {
                assert!(*code < 128 && *code != 0x1B && *c != '\u{1B}');
                assert!(table[..at].iter().all(|(other, d)| other < code && d != c), "{id} {c}");
            }
            let Some(base) = locking(id) else { continue };
            assert_eq!(base[0x1B], '\u{1B}');
            for (at, c) in base.iter().enumerate() {
                assert!(!base[..at].contains(c), "{id} {c}");
            }
        }
        assert!(!Language::Spanish.locks() && Language::Turkish.locks());
        assert_eq!((4..=255).filter(|id| single(*id).is_some() || locking(*id).is_some()).count(), 0);
    }
}
