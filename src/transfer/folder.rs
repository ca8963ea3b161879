//! A folder up: walked in contract order while its files are sent.

use std::path::Path;
use std::sync::Arc;

use super::batch::Batch;
use super::content_type::ContentTypes;
use super::report::Report;
use super::upload::LocalFile;
use super::{Engine, Host, cancelled, until_cancelled};
use crate::client::Client;
use crate::disk::{Found, Walk};
use crate::error::{Error, Result};
use crate::flow::Cancel;
use crate::keys::KeyPrefix;
use crate::wire::retry::Retry;

/// Files that are found at a time: enough that a thread is not woken for each, few enough to begin at once.
const FOUND_AT_ONCE: usize = 128;

/// What is left of a walk: more, nothing, or an error, after which it may go on where it was.
type Rest = Result<Option<Walk>, (Error, Walk)>;

impl Engine {
    /// Sends all files below a directory. The report names keys; with an error it says what was done all the same.
    pub async fn upload_folder(
        self: &Arc<Self>,
        directory: &Path,
        bucket: &str,
        key_prefix: &str,
        host: &Arc<dyn Host>,
        cancel: &Cancel,
    ) -> (Report, Option<Error>) {
        if let Err(error) = Client::check_names(bucket, None) {
            return (Report::default(), Some(error));
        }
        let prefix = KeyPrefix::new(key_prefix);
        let bucket: Arc<str> = bucket.into();
        let types = Arc::new(ContentTypes::new(host.clone()));
        let mut batch = Batch::new(self.window.clone(), cancel);
        let mut walk = match until_cancelled(cancel, self.walk(directory, &bucket, cancel)).await {
            Ok(walk) => Some(walk),
            Err(error) => return (Report::default(), Some(error)),
        };
        let mut broken = None;
        let mut starved: Option<Error> = None;
        let mut patience = Retry::new(self.client.options());
        while let Some(current) = walk.take() {
            if let Some(error) = starved.take() {
                let waited = self.wait_for_descriptors(&mut patience, error.clone(), &bucket, cancel);
                if let Err(error) = batch.meanwhile(waited).await.unwrap_or(Err(error)) {
                    broken = Some(error);
                    break;
                }
            }
            // After an error the walk goes on, so that the report can name what was not begun.
            // A disk that does not answer holds up no cancel: the thread that waits for it ends when it does.
            let (found, rest) = match until_cancelled(cancel, self.disk.run(move || next_files(current))).await {
                Ok(next) => next,
                Err(_) if cancel.is_cancelled() => break,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            };
            match rest {
                Ok(rest) => {
                    walk = rest;
                    patience = Retry::new(self.client.options());
                }
                Err((error, rest)) if error.is_exhausted() => (walk, starved) = (Some(rest), Some(error)),
                Err((error, _)) => broken = Some(error),
            }
            for file in found {
                let key = prefix.key(&file.relative);
                let index = batch.plan(key.as_str().into());
                let Some(lane) = batch.lane().await else { continue };
                let (engine, host, types) = (self.clone(), host.clone(), types.clone());
                let (bucket, cancel) = (bucket.clone(), batch.item_cancel());
                batch.begin(index, async move {
                    let content_type = types.of(&file.path.to_string_lossy()).await;
                    let file = LocalFile { path: file.path, bucket, key, content_type };
                    let size = engine.upload_in_lane(&file, lane, &cancel).await?;
                    if host.wants_messages() {
                        host.message(format!("Uploaded {} to s3://{}/{}", file.path.display(), file.bucket, file.key));
                    }
                    Ok(size)
                });
            }
        }
        let (report, error) = batch.finish(broken).await;
        self.release_buffers();
        let stopped = error.is_none() && cancel.is_cancelled();
        (report, error.or_else(|| stopped.then(cancelled)))
    }

    async fn walk(&self, directory: &Path, bucket: &str, cancel: &Cancel) -> Result<Walk> {
        let begin = || {
            let directory = directory.to_owned();
            move || Walk::new(&directory)
        };
        self.patiently(begin, bucket, cancel).await
    }
}

/// The next files of a walk, and the walk if there is more. What was found before an error counts too. Blocks.
fn next_files(mut walk: Walk) -> (Vec<Found>, Rest) {
    let mut found = Vec::with_capacity(FOUND_AT_ONCE);
    while found.len() < FOUND_AT_ONCE {
        match walk.next() {
            Some(Ok(file)) => found.push(file),
            Some(Err(error)) => return (found, Err((error, walk))),
            None => return (found, Ok(None)),
        }
    }
    (found, Ok(Some(walk)))
}
