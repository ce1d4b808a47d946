//! Files that a simulated provider keeps: uploaded ones, and those that customers send. Bounded: the oldest go.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{provider::Kind, sign};

/// The most files that are kept.
const FILES_MAX: usize = 1_000;
/// The most octets that they have in all.
const OCTETS_MAX: usize = 256 * 1024 * 1024;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Decimal digits.
    pub(super) id: String,
    pub(super) mime: String,
    pub(super) name: String,
    pub(super) content: Bytes,
}

impl File {
    pub(super) fn sha256(&self) -> String {
        sign::sha256_hex(&self.content)
    }
}

/// All files, oldest first.
#[derive(Debug, Default)]
pub(super) struct Media {
    files: VecDeque<File>,
    octets: usize,
}

impl Media {
    pub(super) fn get(&self, id: &str) -> Option<&File> {
        self.files.iter().rev().find(|file| file.id == id)
    }

    pub(super) fn store(&mut self, file: File) {
        self.octets += file.content.len();
        self.files.push_back(file);
        while self.files.len() > FILES_MAX || self.octets > OCTETS_MAX {
            let Some(old) = self.files.pop_front() else { return };
            self.octets -= old.content.len();
        }
    }

    pub(super) fn forget(&mut self, id: &str) {
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

/// A grey pixel.
const PNG: [u8; 67] = [
    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 0x0D, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0,
    0, 1, 8, 0, 0, 0, 0, 0x3A, 0x7E, 0x9B, 0x55, 0, 0, 0, 0x0A, 0x49, 0x44, 0x41, 0x54, 0x78, 0xDA, 0x63,
    0xF8, 0x0F, 0, 1, 1, 1, 0, 0x1C, 0xB0, 0x8C, 0x99, 0, 0, 0, 0, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60,
    0x82,
];

/// Media type, name and content of a small file of this kind.
pub(super) fn sample(kind: Kind) -> (&'static str, &'static str, &'static [u8]) {
    match kind {
        Kind::Video => ("video/mp4", "clip.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
        Kind::Audio => ("audio/ogg", "voice.ogg", b"OggS\0\x02simulated"),
        Kind::Document => ("application/pdf", "paper.pdf", b"%PDF-1.4\n%%EOF\n"),
        Kind::Sticker => ("image/webp", "sticker.webp", b"RIFF\x0c\0\0\0WEBPVP8 "),
        _ => ("image/png", "pixel.png", &PNG),
    }
}
