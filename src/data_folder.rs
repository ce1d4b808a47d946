//! Whether the data folder can be used, in words for the operator. Changes nothing in a folder that
//! exists.

use std::{fs, io, path::Path};

use rustix::fs::{Access, access};

/// Returns what is wrong with a data folder, and the fix. A folder that does not exist yet is
/// created at the start, so the nearest one above it must allow that.
pub(crate) fn problem(folder: &Path) -> Option<String> {
    let name = "name a folder that can be written, in data_dir";
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => Some(format!("not a folder; {name}")),
        Ok(_) => not_writable(folder).map(|why| format!("cannot be written ({why}); {}", fix(folder))),
        // A file among the folders above it gives the second.
        Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let above =
                folder.ancestors().skip(1).find(|above| above.exists() || above.as_os_str().is_empty())?;
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            let shown = above.display();
            if !above.is_dir() {
                return Some(format!("cannot be created: {shown} is not a folder; {name}"));
            }
            not_writable(above).map(|why| format!("cannot be created in {shown} ({why}); {}", fix(above)))
        }
        Err(why) => Some(format!("cannot be used ({why}); {name}")),
    }
}

fn not_writable(folder: &Path) -> Option<io::Error> {
    access(folder, Access::WRITE_OK | Access::EXEC_OK).err().map(io::Error::from)
}

fn fix(folder: &Path) -> String {
    format!("let this user write to {}, or name another folder in data_dir", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_used_is_told_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(problem(folder.path()), None);
        assert_eq!(problem(&folder.path().join("a/b/c")), None);
        assert!(problem(&file).unwrap().contains("not a folder; name a folder"));
        assert!(problem(&file.join("below")).unwrap().contains("data_dir"));
        // The kernel's own folder, which root cannot write either.
        assert!(problem(Path::new("/proc/patchbay/data")).is_none_or(|text| text.contains("data_dir")));
    }
}
