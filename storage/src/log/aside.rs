//! Small files of the caller beside the segments: facts that are not events and that nobody depends
//! on. Each is replaced as a whole, and read back only if it is as it was written.

use crate::{error::EngineError, log::handle::Log};

/// The folder of the engine itself.
const ROOT: &str = "";
/// Maximum number of bytes of a file.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

impl Log {
    /// Writes a file, in place of one of the same name. It is on the disk when this returns.
    pub fn write_aside(&self, name: &str, bytes: &[u8]) -> Result<(), EngineError> {
        if bytes.len() > BYTES_MAX {
            return Err(EngineError::new(format!("write {name}"), "it is too large"));
        }
        let mut content = Vec::with_capacity(bytes.len() + CHECKSUM_BYTES);
        content.extend_from_slice(bytes);
        content.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        self.shared.engine.write_file(ROOT, name, &content)
    }

    /// Reads a file; `None` if it was never written. Damage is an error.
    pub fn read_aside(&self, name: &str) -> Result<Option<Vec<u8>>, EngineError> {
        let engine = &*self.shared.engine;
        let Some(mut content) = engine.read_file(ROOT, name, 0, BYTES_MAX + CHECKSUM_BYTES)? else {
            return Ok(None);
        };
        let sound = content.split_last_chunk::<CHECKSUM_BYTES>();
        let sound = sound.filter(|(bytes, crc)| crc32fast::hash(bytes) == u32::from_le_bytes(**crc));
        let Some(length) = sound.map(|(bytes, _)| bytes.len()) else {
            return Err(EngineError::damaged(name, 0, "its checksum is wrong"));
        };
        content.truncate(length);
        Ok(Some(content))
    }
}
