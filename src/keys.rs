//! Pure: how relative paths become keys, and how keys become relative paths that stay where they belong.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::error::{Error, Kind, Result};

/// A prefix as callers give it, without the slashes around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Takes the slashes off both ends.
    pub fn new(prefix: &str) -> Self {
        Self(prefix.trim_matches('/').to_owned())
    }

    /// The key of a file, from its path below the folder with `/` between the parts.
    pub fn key(&self, relative: &str) -> String {
        if self.0.is_empty() { relative.to_owned() } else { format!("{}/{relative}", self.0) }
    }

    /// What ListObjectsV2 is asked for: with a slash at the end, so that `foo` never matches `foobar/x`.
    pub fn listing(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!("{}/", self.0) }
    }
}

/// The place of a key on disk: its remainder after the prefix without empty and `.` parts.
///
/// `None` where the remainder would leave the target directory, or is no file name at all.
pub fn folded(remainder: &str) -> Option<String> {
    if remainder.starts_with('/') || remainder.contains('\0') {
        return None;
    }
    let mut path = String::with_capacity(remainder.len());
    for part in remainder.split('/') {
        match part {
            ".." => return None,
            "" | "." => {}
            part if cfg!(windows) && !is_windows_name(part) => return None,
            part => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(part);
            }
        }
    }
    (!path.is_empty()).then_some(path)
}

/// Whether Windows takes a file name literally (Microsoft, "Naming Files, Paths, and Namespaces").
fn is_windows_name(part: &str) -> bool {
    const RESERVED: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_ascii_uppercase();
    let numbered = stem.len() == 4
        && (stem.starts_with("COM") || stem.starts_with("LPT"))
        && stem.as_bytes().get(3).is_some_and(u8::is_ascii_digit);
    !(part.contains(['\\', ':', '<', '>', '"', '|', '?', '*'])
        || part.chars().any(|c| c < ' ')
        || part.ends_with(['.', ' '])
        || RESERVED.contains(&stem.as_str())
        || numbered)
}

/// What a key becomes on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The raw remainder of the key after the prefix: what callers get back.
    pub remainder: Arc<str>,
    /// The path below the target directory.
    pub path: String,
}

/// What stands at a place on disk: a file, or a folder that the key with this index needs.
#[derive(Debug, Clone, Copy)]
enum Taken {
    File(u32),
    Folder(u32),
}

/// Checks keys a listing page at a time: for escape, and for collisions with all keys seen so far.
///
/// Places are remembered as 128-bit hashes with a random key, 24 bytes each, so that a million keys cost tens of
/// megabytes whatever their length.
pub struct KeyCheck {
    listing: String,
    seen: Vec<Arc<str>>,
    places: HashMap<u128, Taken>,
    hashers: [RandomState; 2],
}

impl KeyCheck {
    /// Begins a check of what a listing of this prefix returns.
    pub fn new(prefix: &KeyPrefix) -> Self {
        Self {
            listing: prefix.listing(),
            seen: Vec::new(),
            places: HashMap::new(),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// Checks one page. `None` for keys that are passed over (they end in `/`). Nothing of the page may be written
    /// before this has returned.
    pub fn check_page<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>) -> Result<Vec<Option<Placed>>> {
        keys.into_iter().map(|key| self.check(key)).collect()
    }

    fn check(&mut self, key: &str) -> Result<Option<Placed>> {
        if key.ends_with('/') {
            return Ok(None);
        }
        let Some(remainder) = key.strip_prefix(self.listing.as_str()) else {
            let text = format!("the listing of prefix {:?} returned a key outside it: {key:?}", self.listing);
            return Err(Error::new(Kind::BadResponse, text));
        };
        let Some(path) = folded(remainder) else {
            return Err(suspicious(key));
        };
        let index = u32::try_from(self.seen.len())
            .map_err(|_| Error::new(Kind::Unsupported, "more than 4,294,967,295 keys in one transfer"))?;
        for (end, _) in path.match_indices('/') {
            let place = self.place(&path[..end]);
            if let Taken::File(other) = *self.places.entry(place).or_insert(Taken::Folder(index)) {
                return Err(self.collision(other, key));
            }
        }
        let place = self.place(&path);
        if let Some(Taken::File(other) | Taken::Folder(other)) = self.places.insert(place, Taken::File(index)) {
            return Err(self.collision(other, key));
        }
        let remainder: Arc<str> = remainder.into();
        self.seen.push(remainder.clone());
        Ok(Some(Placed { remainder, path }))
    }

    fn place(&self, path: &str) -> u128 {
        let half = |state: &RandomState| u128::from(state.hash_one(path));
        (half(&self.hashers[0]) << 64) | half(&self.hashers[1])
    }

    fn collision(&self, other: u32, key: &str) -> Error {
        let other = self.seen.get(other as usize).map_or("", |remainder| remainder);
        let other = format!("{}{other}", self.listing);
        if other == key {
            return Error::new(Kind::BadResponse, format!("the listing returned the same key twice: {key:?}"));
        }
        same_place(&other, key)
    }
}

/// The error for two keys that need the same place.
pub fn same_place(one: &str, other: &str) -> Error {
    let text =
        format!("Two S3 keys need the same place on disk: {one:?} and {other:?}; download them into different folders");
    Error::new(Kind::KeyCollision, text)
}

/// The error for a key that would lead outside the target directory, in the contract's words.
pub fn suspicious(key: &str) -> Error {
    let text = format!("Refusing to write outside local_dir; suspicious S3 key: {key}");
    Error::new(Kind::SuspiciousKey, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_loses_its_slashes_and_lists_with_one() {
        for (given, key, listing) in
            [("", "a/b", ""), ("/", "a/b", ""), ("p", "p/a/b", "p/"), ("/p/q//", "p/q/a/b", "p/q/")]
        {
            let prefix = KeyPrefix::new(given);
            assert_eq!((prefix.key("a/b").as_str(), prefix.listing().as_str()), (key, listing), "{given}");
        }
    }

    #[test]
    fn a_remainder_is_folded_or_refused() {
        for (remainder, path) in [
            ("a", Some("a")),
            ("a/b", Some("a/b")),
            ("a//b", Some("a/b")),
            ("./a", Some("a")),
            ("a/./b", Some("a/b")),
            ("a/.", Some("a")),
            ("...", Some("...")),
            ("..a/b..", Some("..a/b..")),
            ("a\nb", Some("a\nb")),
            ("/a", None),
            ("//a", None),
            ("..", None),
            ("../a", None),
            ("a/../b", None),
            ("a/..", None),
            (".", None),
            ("./.", None),
            ("", None),
            ("a\0b", None),
        ] {
            assert_eq!(folded(remainder).as_deref(), path, "{remainder:?}");
        }
        #[cfg(not(windows))]
        assert_eq!(folded("a\\..\\b").as_deref(), Some("a\\..\\b"));
    }

    proptest::proptest! {
        #[test]
        fn no_remainder_leads_outside_and_what_is_folded_stays_so(remainder in "([./\\\\ab]|\\PC){0,30}") {
            if let Some(path) = folded(&remainder) {
                proptest::prop_assert!(!path.is_empty() && !path.starts_with('/') && !path.contains('\0'));
                proptest::prop_assert!(path.split('/').all(|part| !["", ".", ".."].contains(&part)), "{path:?}");
                proptest::prop_assert_eq!(folded(&path), Some(path.clone()));
                let depth = remainder.split('/').filter(|part| !["", "."].contains(part)).count();
                proptest::prop_assert_eq!(path.split('/').count(), depth);
            }
        }

        #[test]
        fn a_path_comes_back_from_its_key(prefix in "[/a-c]{0,6}", path in "[a-c .é]{1,4}(/[a-c .é]{1,4}){0,3}") {
            let prefix = KeyPrefix::new(&prefix);
            let key = prefix.key(&path);
            proptest::prop_assert!(key.starts_with(&prefix.listing()));
            if let Ok(placed) = KeyCheck::new(&prefix).check_page([key.as_str()]) {
                let placed = placed[0].as_ref().unwrap();
                proptest::prop_assert_eq!(&*placed.remainder, path.as_str());
            } else {
                proptest::prop_assert!(folded(&path).is_none(), "{path:?}");
            }
        }
    }

    #[test]
    fn windows_names_are_told_from_others() {
        for (name, good) in [
            ("a.txt", true),
            ("con", false),
            ("CON.txt", false),
            ("com1", false),
            ("com", true),
            ("a:b", false),
            ("a\\b", false),
            ("a.", false),
            ("a ", false),
        ] {
            assert_eq!(is_windows_name(name), good, "{name}");
        }
    }

    fn check(pages: &[&[&str]]) -> Result<Vec<String>> {
        let mut check = KeyCheck::new(&KeyPrefix::new("p"));
        let mut all = vec![];
        for page in pages {
            all.extend(check.check_page(page.iter().copied())?.into_iter().flatten().map(|p| p.remainder.to_string()));
        }
        Ok(all)
    }

    #[test]
    fn folders_are_passed_over_and_remainders_stay_raw() {
        assert_eq!(check(&[&["p/", "p/a//b", "p/c/", "p/./d"]]).unwrap(), ["a//b", "./d"]);
    }

    #[test]
    fn collisions_are_found_across_pages_and_name_both_keys() {
        for (pages, first, second) in [
            (&[&["p/a"][..], &["p/a/b"][..]][..], "\"p/a\"", "\"p/a/b\""),
            (&[&["p/a/b"], &["p/a"]], "\"p/a/b\"", "\"p/a\""),
            (&[&["p/x//y", "p/x/y"]], "\"p/x//y\"", "\"p/x/y\""),
            (&[&["p/./a", "p/a"]], "\"p/./a\"", "\"p/a\""),
        ] {
            let error = check(pages).unwrap_err();
            assert_eq!(error.kind(), &Kind::KeyCollision);
            assert!(error.message().contains(first) && error.message().contains(second), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_listed_twice_is_the_servers_fault() {
        let error = check(&[&["p/a", "p/b"], &["p/a"]]).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (&Kind::BadResponse, "the listing returned the same key twice: \"p/a\"")
        );
    }

    #[test]
    fn neighbours_do_not_collide() {
        assert!(check(&[&["p/a", "p/ab", "p/a.b", "p/b/a", "p/b/b", "p/b/c/d"]]).is_ok());
    }

    #[test]
    fn a_key_that_leads_outside_is_refused_in_the_contracts_words() {
        let error = check(&[&["p/ok", "p/../x"]]).unwrap_err();
        assert_eq!(error.message(), "Refusing to write outside local_dir; suspicious S3 key: p/../x");
    }

    #[test]
    fn a_key_outside_the_prefix_is_the_servers_fault() {
        assert_eq!(check(&[&["q/a"]]).unwrap_err().kind(), &Kind::BadResponse);
    }
}
