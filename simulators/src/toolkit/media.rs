//! Files that a simulated provider keeps: uploads, and the files that customers send. Bounded;
//! evicts the oldest.

use std::collections::VecDeque;

use bytes::Bytes;

use super::sign;

/// Maximum number of files.
const FILES_MAX: usize = 1_000;
/// Maximum size of all files together, in bytes.
const BYTES_MAX: usize = 256 * 1024 * 1024;

/// A stored file.
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

/// All stored files, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Media {
    files: VecDeque<File>,
    bytes: usize,
}

impl Media {
    pub(crate) fn get(&self, id: &str) -> Option<&File> {
        self.files.iter().rev().find(|file| file.id == id)
    }

    pub(crate) fn store(&mut self, file: File) {
        self.bytes += file.content.len();
        self.files.push_back(file);
        while self.files.len() > FILES_MAX || self.bytes > BYTES_MAX {
            let Some(old) = self.files.pop_front() else { return };
            self.bytes -= old.content.len();
        }
    }

    pub(crate) fn remove(&mut self, id: &str) {
        let bytes = &mut self.bytes;
        self.files.retain(|file| {
            let stays = file.id != id;
            if !stays {
                *bytes -= file.content.len();
            }
            stays
        });
    }
}
