//! Small files of each kind, for customers whose file has no content of its own.

use crate::contract::Kind;

/// A file with its usual media type and name.
pub(super) struct Sample {
    pub(super) mime: &'static str,
    pub(super) name: &'static str,
    pub(super) content: &'static [u8],
}

/// A grey pixel.
const PNG: [u8; 67] = [
    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 0x0D, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0,
    0, 1, 8, 0, 0, 0, 0, 0x3A, 0x7E, 0x9B, 0x55, 0, 0, 0, 0x0A, 0x49, 0x44, 0x41, 0x54, 0x78, 0xDA, 0x63,
    0xF8, 0x0F, 0, 1, 1, 1, 0, 0x1C, 0xB0, 0x8C, 0x99, 0, 0, 0, 0, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60,
    0x82,
];

/// Returns a small file of this kind.
pub(super) fn sample(kind: Kind) -> Sample {
    let (mime, name, content): (_, _, &[u8]) = match kind {
        Kind::Video => ("video/mp4", "clip.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
        Kind::Audio => ("audio/ogg", "voice.ogg", b"OggS\0\x02simulated"),
        Kind::Document => ("application/pdf", "paper.pdf", b"%PDF-1.4\n%%EOF\n"),
        Kind::Sticker => ("image/webp", "sticker.webp", b"RIFF\x0c\0\0\0WEBPVP8 "),
        _ => ("image/png", "pixel.png", &PNG),
    };
    Sample { mime, name, content }
}
