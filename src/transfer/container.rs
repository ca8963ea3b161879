//! What the container around this process allows (cgroups(7)).

use std::path::{Path, PathBuf};

/// The memory that this process and its neighbours in the container may use together. `None` without a limit, and where
/// there are no control groups.
pub fn memory_limit() -> Option<u64> {
    memory_limit_below(Path::new("/"))
}

/// The same, with another root of the file system.
fn memory_limit_below(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounted = root.join("sys/fs/cgroup");
    groups.lines().filter_map(|line| limit_of(line, &mounted)).min()
}

/// The limit of one line, `hierarchy:controllers:path`: the least of the group's and its parents'.
fn limit_of(line: &str, mounted: &Path) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, group) = (fields.next()?, fields.next()?.trim_start_matches('/'));
    let (top, file) = match controllers {
        "" => (mounted.to_owned(), "memory.max"),
        controllers if controllers.split(',').any(|controller| controller == "memory") => {
            (mounted.join("memory"), "memory.limit_in_bytes")
        }
        _ => return None,
    };
    // Within a container the path may be that of the host: then only the top is there.
    let mut at: PathBuf = top.join(group);
    let mut least = None;
    while at.starts_with(&top) {
        let written = std::fs::read_to_string(at.join(file)).ok();
        // "max" is no number. The first version writes a number near 2^63 for no limit.
        let limit = written.and_then(|text| text.trim().parse().ok()).filter(|&limit| limit < 1 << 60);
        least = least.into_iter().chain(limit).min();
        if !at.pop() {
            break;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn the_least_limit_of_the_group_and_its_parents_counts() {
        for (files, limit) in [
            (&[][..], None),
            (&[("proc/self/cgroup", "0::/\n")], None),
            (&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "1000\n")], Some(1000)),
            (&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")], None),
            (
                &[
                    ("proc/self/cgroup", "0::/a/b\n"),
                    ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                    ("sys/fs/cgroup/a/memory.max", "300\n"),
                    ("sys/fs/cgroup/memory.max", "500\n"),
                ],
                Some(300),
            ),
            // The host's path, in a container that sees only its own group.
            (&[("proc/self/cgroup", "0::/docker/1\n"), ("sys/fs/cgroup/memory.max", "700\n")], Some(700)),
            (
                &[
                    ("proc/self/cgroup", "3:cpu,cpuacct:/x\n2:memory:/x\n"),
                    ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "900\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ],
                Some(900),
            ),
        ] {
            assert_eq!(memory_limit_below(root(files).path()), limit, "{files:?}");
        }
    }
}
