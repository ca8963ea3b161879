//! Reading and writing at an offset, which the systems name differently.

use std::fs::File;
use std::io;

use super::fault::{self, Step};

/// Writes all of `bytes` at `offset`. Short writes go on, EINTR is tried again, a write of nothing is an error.
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    fault::at(Step::Write)?;
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, offset);
    #[cfg(windows)]
    {
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Reads until `into` is full or the file ends, and says how much was read. EINTR is tried again.
pub(super) fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        #[cfg(unix)]
        let result = std::os::unix::fs::FileExt::read_at(file, &mut into[read..], offset + read as u64);
        #[cfg(windows)]
        let result = std::os::windows::fs::FileExt::seek_read(file, &mut into[read..], offset + read as u64);
        match result {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
