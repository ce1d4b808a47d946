//! Files that a simulated provider keeps: uploaded ones, and those that customers send. Bounded: the oldest go.

use std::collections::VecDeque;

use bytes::Bytes;

use super::sign;

/// The most files that are kept.
const FILES_MAX: usize = 1_000;
/// The most octets that they have in all.
const OCTETS_MAX: usize = 256 * 1024 * 1024;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Decimal digits.
    pub(crate) id: String,
    pub(crate) mime: String,
    pub(crate) name: String,
    pub(crate) content: Bytes,
}

impl File {
    pub(crate) fn sha256(&self) -> String {
        sign::sha256_hex(&self.content)
    }
}

/// All files, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Media {
    files: VecDeque<File>,
    octets: usize,
}

impl Media {
    pub(crate) fn get(&self, id: &str) -> Option<&File> {
        self.files.iter().rev().find(|file| file.id == id)
    }

    pub(crate) fn store(&mut self, file: File) {
        self.octets += file.content.len();
        self.files.push_back(file);
        while self.files.len() > FILES_MAX || self.octets > OCTETS_MAX {
            let Some(old) = self.files.pop_front() else { return };
            self.octets -= old.content.len();
        }
    }

    pub(crate) fn forget(&mut self, id: &str) {
        let octets = &mut self.octets;
        self.files.retain(|file| {
            let stays = file.id != id;
            if !stays {
                *octets -= file.content.len();
            }
            stays
        });
    }
}
