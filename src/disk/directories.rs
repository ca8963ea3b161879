//! Directories that files need.

use std::path::Path;
use std::{fs, io};

use super::folder::Folder;

/// Makes a directory with its parents. `durable`: and waits until the names of all that were missing are on the disk.
pub(super) fn make_directories(path: &Path, durable: bool) -> io::Result<()> {
    let missing = path.ancestors().take_while(|path| durable && !path.as_os_str().is_empty() && !path.is_dir());
    let missing: Vec<&Path> = missing.collect();
    fs::create_dir_all(path)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        Folder::open(parent.unwrap_or(Path::new(".")))?.sync()?;
    }
    Ok(())
}
