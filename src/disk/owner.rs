//! Whose a temporary file is, as its name tells, and whether that process still lives.

use std::ffi::OsStr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// The beginning of every temporary name.
const PREFIX: &str = ".s3bulk-";

/// The process that made a temporary file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    process: u32,
    /// When it began, in clock ticks since the machine's start (proc_pid_stat(5), field 22): process ids are used again.
    start: u64,
    /// Where these two mean something; 0 where that can't be known.
    place: u32,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs.
    Lives,
    /// It is gone and can't come back.
    Gone,
    /// It belongs to another machine or container, to the time before this machine's last start, or to a system that
    /// doesn't tell.
    Unknown,
}

impl Owner {
    /// This process. Remembered with its id, since a forked child has another one; not under a lock, which a fork could
    /// leave locked.
    pub(super) fn this_process() -> Self {
        static KNOWN: ArcSwapOption<Owner> = ArcSwapOption::const_empty();

        let process = std::process::id();
        match &*KNOWN.load() {
            Some(known) if known.process == process => return **known,
            _ => {}
        }
        let (start, place) = start_of(process).zip(place(process)).unwrap_or_default();
        let owner = Self { process, start, place };
        // There may have been no descriptor for the look: the next one is not spared.
        if place != 0 {
            KNOWN.store(Some(Arc::new(owner)));
        }
        owner
    }

    /// A name for a file of this process: short, never made from the key, which may be 255 bytes long already.
    pub(super) fn name(self, random: u64) -> String {
        format!("{PREFIX}{}-{}-{:08x}-{random:016x}", self.process, self.start, self.place)
    }

    /// The owner that a name tells; `None` for every name that isn't exactly one of ours.
    pub(super) fn of_name(name: &OsStr) -> Option<Self> {
        let mut parts = name.to_str()?.strip_prefix(PREFIX)?.split('-');
        let (process, start, place, random) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !is_hex(place, 8) || !is_hex(random, 16) {
            return None;
        }
        let place = u32::from_str_radix(place, 16).ok()?;
        Some(Self { process: number(process)?, start: number(start)?, place })
    }

    /// Whether this process made it, and not one that this one was forked from.
    pub(super) fn is_this_process(self) -> bool {
        self.process == std::process::id()
    }

    /// Whether it lives, in doubt `Unknown`.
    pub(super) fn fate(self) -> Fate {
        self.fate_seen_from(Self::this_process())
    }

    fn fate_seen_from(self, here: Self) -> Fate {
        // It may have been named, or be looked at, while `/proc` could not be read.
        if self.process == here.process && (self.place == 0 || here.place == 0 || self == here) {
            return Fate::Lives;
        }
        if self.place == 0 || self.place != here.place {
            return Fate::Unknown;
        }
        match start_of(self.process) {
            Some(start) if start != self.start => Fate::Gone, // somebody else has its id by now
            Some(_) => Fate::Lives,
            // `/proc` may hide the processes of other users (proc(5), hidepid).
            None if exists(self.process) => Fate::Lives,
            None => Fate::Gone,
        }
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// As it is printed: no sign, no zeros before it.
fn number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

#[cfg(target_os = "linux")]
fn start_of(process: u32) -> Option<u64> {
    start_of_stat(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn start_of(_process: u32) -> Option<u64> {
    None
}

/// The program's name comes second, in parentheses, and may hold anything; what follows its end is plain.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn start_of_stat(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// One number for all that gives process ids and start times their meaning: the machine since its last start, its name
/// (copies of a virtual machine share the rest), the namespaces of processes and of time. Never 0.
#[cfg(target_os = "linux")]
fn place(process: u32) -> Option<u32> {
    use std::fs::{read_link, read_to_string};

    // A `/proc` of another namespace would answer for processes that have nothing to do with ours.
    if read_link("/proc/self").ok()?.to_str() != Some(&process.to_string()) {
        return None;
    }
    let machine = read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let name = read_to_string("/proc/sys/kernel/hostname").ok()?;
    let processes = read_link("/proc/self/ns/pid").ok()?;
    let time = read_link("/proc/self/ns/time").unwrap_or_default(); // from Linux 5.6 on
    let facts = format!("{machine} {name} {} {}", processes.display(), time.display());
    let digest = ring::digest::digest(&ring::digest::SHA256, facts.as_bytes());
    Some(u32::from_be_bytes(*digest.as_ref().first_chunk()?).max(1))
}

#[cfg(not(target_os = "linux"))]
fn place(_process: u32) -> Option<u32> {
    None
}

#[cfg(unix)]
fn exists(process: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};

    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| test_kill_process(process) != Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn exists(_process: u32) -> bool {
    true
}

#[cfg(test)]
impl Owner {
    /// Another one, for tests.
    pub(super) fn made_up(process: Option<u32>, start: Option<u64>, place: Option<u32>) -> Self {
        let this = Self::this_process();
        Self {
            process: process.unwrap_or(this.process),
            start: start.unwrap_or(this.start),
            place: place.unwrap_or(this.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_program_name() {
        let rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        for name in ["(cat)", "(a) b (c)", "( 1 2 3)"] {
            assert_eq!(start_of_stat(&format!("12 {name}{rest}")), Some(4711), "{name}");
        }
        assert_eq!(start_of_stat("12 (cat) S"), None);
        assert_eq!(start_of_stat(""), None);
    }

    #[test]
    fn a_name_tells_its_owner() {
        let longest = Owner { process: 1 << 22, start: 1 << 42, place: u32::MAX };
        for owner in [Owner::this_process(), longest] {
            let name = owner.name(u64::MAX);
            assert!(name.len() < 64, "{name}");
            assert_eq!(Owner::of_name(OsStr::new(&name)), Some(owner));
        }
    }

    #[test]
    fn only_names_that_are_exactly_ours_are_taken_for_ours() {
        for name in [
            ".s3bulk-1-2-0000000a-000000000000000b~",
            ".s3bulk-1-2-0000000a-000000000000000",
            ".s3bulk-1-2-0000000A-000000000000000b",
            ".s3bulk-1-2-000000a-000000000000000b",
            ".s3bulk-01-2-0000000a-000000000000000b",
            ".s3bulk-+1-2-0000000a-000000000000000b",
            ".s3bulk-1-2-0000000a-000000000000000b-c",
            ".s3bulk-1-2-000000000000000b",
            ".s3bulk-99999999999-2-0000000a-000000000000000b",
            "s3bulk-1-2-0000000a-000000000000000b",
            ".s3bulk-cache",
            ".s3bulk-",
        ] {
            assert_eq!(Owner::of_name(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn this_process_lives_even_where_it_can_not_be_told() {
        let known = Owner { process: std::process::id(), start: 7, place: 9 };
        let untold = Owner { start: 0, place: 0, ..known };
        for (file, here) in [(known, known), (known, untold), (untold, known), (untold, untold)] {
            assert_eq!(file.fate_seen_from(here), Fate::Lives, "{file:?} from {here:?}");
        }
        let elsewhere = Owner { place: 8, ..known };
        assert_eq!(elsewhere.fate_seen_from(known), Fate::Unknown);
        let other = Owner { process: known.process + 1, ..untold };
        assert_eq!(other.fate_seen_from(untold), Fate::Unknown);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_living_owner_is_told_from_one_that_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let start = start_of(child.id()).unwrap();
        let theirs = Owner::made_up(Some(child.id()), Some(start), None);
        assert_eq!(theirs.fate(), Fate::Lives);
        assert!(!theirs.is_this_process());
        assert_eq!(Owner::made_up(Some(child.id()), Some(start + 1), None).fate(), Fate::Gone, "its id is used again");
        assert_eq!(Owner::made_up(Some(child.id()), Some(start), Some(1)).fate(), Fate::Unknown, "elsewhere");
        assert_eq!(Owner::made_up(Some(child.id()), Some(0), Some(0)).fate(), Fate::Unknown, "who knows where");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(theirs.fate(), Fate::Gone);
        assert_eq!(Owner::this_process().fate(), Fate::Lives);
    }
}
