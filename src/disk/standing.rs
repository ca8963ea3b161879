//! What stands where a file should go, and what a file that replaces it keeps.

use std::fs::{File, Metadata};
use std::io;

#[cfg(unix)]
use super::fault::{self, Step};

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    File,
    Directory,
    Link,
    /// FIFO, device, socket.
    Other,
}

impl Shape {
    /// Without the directory's handle only the standard library's word for it is known.
    #[cfg_attr(all(target_os = "linux", not(feature = "portable-disk")), allow(dead_code))]
    pub(super) fn of(kind: std::fs::FileType) -> Self {
        if kind.is_symlink() {
            Self::Link
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_file() {
            Self::File
        } else {
            Self::Other
        }
    }
}

/// Device and inode number, which tell it from everything else that is there at the same time.
pub(super) type Identity = (u64, u64);

/// `None` where the standard library does not know.
pub(super) fn identity_of(metadata: &Metadata) -> Option<Identity> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) shape: Shape,
    pub(super) identity: Option<Identity>,
    /// Permission bits, set-id and sticky bits among them.
    bits: u32,
    owner: u32,
    group: u32,
}

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;

impl Standing {
    /// From a stat's device and inode number, mode, owner and group.
    #[cfg(unix)]
    pub(super) fn new(identity: Identity, mode: u32, owner: u32, group: u32) -> Self {
        let shape = match mode & 0o170_000 {
            0o100_000 => Shape::File,
            0o040_000 => Shape::Directory,
            0o120_000 => Shape::Link,
            _ => Shape::Other,
        };
        Self { shape, identity: Some(identity), bits: mode & 0o7777, owner, group }
    }

    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self::new((metadata.dev(), metadata.ino()), metadata.mode(), metadata.uid(), metadata.gid())
    }

    /// `bits` holds the read-only attribute.
    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        let shape = Shape::of(metadata.file_type());
        let bits = u32::from(metadata.permissions().readonly());
        Self { shape, identity: identity_of(metadata), bits, owner: 0, group: 0 }
    }

    /// Gives owner, where allowed, and permission bits of what is replaced to the file that replaces it. ACLs and
    /// extended attributes stay behind, as with every program that renames.
    #[cfg(unix)]
    pub(super) fn hand_on(&self, file: &File) -> io::Result<()> {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;

        fault::at(Step::Attributes)?;
        let mut now = Self::of(&file.metadata()?);
        // Owner first: changing it takes the set-id bits away, and bits must not be open to the wrong owner.
        if (now.owner, now.group) != (self.owner, self.group) {
            now = self.hand_on_owner(file, now)?;
        }
        let bits = bits_to_keep(self.bits, now.owner == self.owner, now.group == self.group);
        if bits == now.bits { Ok(()) } else { file.set_permissions(Permissions::from_mode(bits)) }
    }

    #[cfg(unix)]
    fn hand_on_owner(&self, file: &File, now: Self) -> io::Result<Self> {
        use std::os::unix::fs::fchown;

        // Only root gives files away, but members of a group may keep it.
        for owner in [Some(self.owner), None] {
            match fchown(file, owner, Some(self.group)) {
                Ok(()) => return Ok(Self::of(&file.metadata()?)),
                // EPERM: not ours to give. EINVAL: an owner that this user namespace doesn't know.
                Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {
                }
                Err(error) => return Err(error),
            }
        }
        Ok(now)
    }

    /// Windows gives a file the folder's rights; a read-only file could not be replaced anyway.
    #[cfg(not(unix))]
    pub(super) fn hand_on(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }
}

/// A set-id bit must not act for someone else than it was set by.
#[cfg_attr(not(unix), allow(dead_code))]
fn bits_to_keep(bits: u32, owner_kept: bool, group_kept: bool) -> u32 {
    let lost = if owner_kept { 0 } else { SET_USER | SET_GROUP };
    bits & !lost & !(if group_kept { 0 } else { SET_GROUP })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_id_bits_stay_only_with_their_owner() {
        for (bits, owner_kept, group_kept, expected) in [
            (0o644, true, true, 0o644),
            (0o6755, true, true, 0o6755),
            (0o6755, false, true, 0o755),
            (0o6755, true, false, 0o4755),
            (0o7777, false, false, 0o1777),
            (0o600, false, false, 0o600),
        ] {
            assert_eq!(bits_to_keep(bits, owner_kept, group_kept), expected, "{bits:o} {owner_kept} {group_kept}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn shapes_are_told_apart() {
        for (mode, shape, bits) in [
            (0o100_644, Shape::File, 0o644),
            (0o041_777, Shape::Directory, 0o1777),
            (0o120_777, Shape::Link, 0o777),
            (0o010_600, Shape::Other, 0o600),
            (0o020_666, Shape::Other, 0o666),
            (0o140_755, Shape::Other, 0o755),
        ] {
            let expected = Standing { shape, identity: Some((3, 4)), bits, owner: 1, group: 2 };
            assert_eq!(Standing::new((3, 4), mode, 1, 2), expected, "{mode:o}");
        }
    }
}
