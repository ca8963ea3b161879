//! Content types: the host is asked once per kind of name, not once per file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::host::Host;

/// Remembers the answers of a host.
pub struct ContentTypes {
    host: Arc<dyn Host>,
    known: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
}

impl ContentTypes {
    /// Asks this host.
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { host, known: Mutex::default() }
    }

    /// The content type of a file. Those who ask for the same kind meanwhile wait for the same answer.
    pub async fn of(&self, path: &str) -> String {
        let kind = kind_of(path);
        let known = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(&kind) {
                Some(cell) => cell.clone(),
                None => known.entry(kind.clone()).or_default().clone(),
            }
        };
        known.get_or_init(|| self.host.content_type(kind)).await.clone()
    }
}

/// A name that stands for all names of which Python's `mimetypes.guess_type` says the same: it looks at the last
/// suffix, and at the one before when the last is an encoding (`.gz`); a suffix that is an alias (`.tgz`) stands for
/// two. Dots at the beginning are no suffix. A path that looks like a URL is given whole: it is read as one.
fn kind_of(path: &str) -> String {
    if path.contains(':') {
        return path.to_owned();
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.trim_start_matches('.');
    let mut dots = stem.rmatch_indices('.').map(|(at, _)| at);
    let from = match (dots.next(), dots.next()) {
        (_, Some(second)) => second,
        (Some(first), None) => first,
        (None, None) => return "file".to_owned(),
    };
    format!("file{}", &stem[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_kind_share_a_name() {
        for (path, kind) in [
            ("/a/b.txt", "file.txt"),
            ("b.c.txt", "file.c.txt"),
            ("a.b.c.tar.gz", "file.tar.gz"),
            ("a/b", "file"),
            ("a.d/b", "file"),
            (".bashrc", "file"),
            ("..x", "file"),
            (".a.txt", "file.txt"),
            ("a.", "file."),
            ("data:text/html,x.png", "data:text/html,x.png"),
        ] {
            assert_eq!(kind_of(path), kind, "{path}");
        }
    }
}
