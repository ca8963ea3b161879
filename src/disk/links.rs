//! Where a link ends, one step at a time.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::folder::Folder;
use super::standing::Shape;

/// As many links as the kernel follows before it says ELOOP (path_resolution(7)).
const LINKS_AT_MOST: usize = 40;

/// Follows the link at `name`, and links it leads to, to the place of the last one's target, which need not exist.
pub(super) fn end_of_links(folder: &Arc<Folder>, name: &OsStr) -> io::Result<(Arc<Folder>, OsString)> {
    let (mut folder, mut name) = (Arc::clone(folder), name.to_owned());
    for _ in 0..LINKS_AT_MOST {
        if folder.look(&name)?.is_none_or(|standing| standing.shape != Shape::Link) {
            return Ok((folder, name));
        }
        let text = folder.read_link(&name)?;
        let (directory, last) = split_link(&text);
        folder = Arc::new(folder.follow(directory)?);
        name = last.to_owned();
    }
    Err(io::Error::other("too many links"))
}

/// A link's text as a directory and a name in it.
fn split_link(text: &Path) -> (&Path, &OsStr) {
    match (text.parent(), text.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => (Path::new("."), name),
        (Some(parent), Some(name)) => (parent, name),
        // "/", "..", "a/..": a directory without a name of its own.
        _ => (text, OsStr::new(".")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_texts_are_split_into_directory_and_name() {
        for (text, directory, name) in [
            ("a", ".", "a"),
            ("a/b", "a", "b"),
            ("../b", "..", "b"),
            ("/b", "/", "b"),
            ("/a/b/", "/a", "b"),
            ("..", "..", "."),
            ("a/..", "a/..", "."),
            ("/", "/", "."),
        ] {
            assert_eq!(split_link(Path::new(text)), (Path::new(directory), OsStr::new(name)), "{text}");
        }
    }
}
