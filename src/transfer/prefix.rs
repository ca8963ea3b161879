//! A prefix down: listed page by page, each page checked as a whole, fetched while the next one is asked for.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::batch::Batch;
use super::download::Place;
use super::fetch::Remote;
use super::report::Report;
use super::{Engine, Host, cancelled};
use crate::client::{Client, Listed};
use crate::disk::Root;
use crate::error::{Error, Kind, Result};
use crate::flow::Cancel;
use crate::keys::{KeyCheck, KeyPrefix, Placed, suspicious};

/// Pages that wait: one is fetched, one is ready. More would only hold memory.
const PAGES_AHEAD: usize = 1;

impl Engine {
    /// Fetches all objects under a prefix into a directory. The report names paths below it; with an error it says
    /// what was done all the same.
    pub async fn download_prefix(
        self: &Arc<Self>,
        bucket: &str,
        key_prefix: &str,
        directory: &Path,
        host: &Arc<dyn Host>,
        cancel: &Cancel,
    ) -> (Report, Option<Error>) {
        if let Err(error) = Client::check_names(bucket, None) {
            return (Report::default(), Some(error));
        }
        let prefix = KeyPrefix::new(key_prefix);
        let bucket: Arc<str> = bucket.into();
        let root = match self.root(directory, &bucket, &prefix, cancel).await {
            Ok(root) => root,
            Err(error) => return (Report::default(), Some(error)),
        };
        let mut pages = self.list_ahead(&bucket, &prefix);
        let mut batch = Batch::new(self.window.clone(), cancel);
        let mut check = KeyCheck::new(&prefix);
        let mut broken = None;
        while let Some(page) = batch.meanwhile(pages.recv()).await {
            // A listing says when it has ended. One that only falls silent has died, and what it lists is not all.
            let page = match page {
                Some(Ok(Some(page))) => Ok(page),
                Some(Ok(None)) => break,
                Some(Err(error)) => Err(error),
                None => Err(Error::new(Kind::Internal, "the listing ended without saying so; please report this")),
            };
            let prepared = async {
                let page = page?;
                let placed = check.check_page(page.iter().map(|object| object.key.as_str()))?;
                let placed = self.check_links(&root, &prefix, placed).await?;
                Ok::<_, Error>((page, placed))
            };
            let (page, placed) = match prepared.await {
                Ok(prepared) => prepared,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            };
            // The whole page is planned first, so that the report can name what was not begun.
            let items: Vec<_> = page
                .into_iter()
                .zip(placed)
                .filter_map(|(object, placed)| placed.map(|placed| (object, placed)))
                .map(|(object, placed)| (batch.plan(placed.remainder.clone()), object, placed))
                .collect();
            for (index, object, placed) in items {
                let Some(lane) = batch.lane().await else { break };
                let (engine, host, root) = (self.clone(), host.clone(), root.clone());
                let (bucket, cancel) = (bucket.clone(), batch.item_cancel());
                batch.begin(index, async move {
                    let full = root.path().join(&placed.path);
                    let key: Arc<str> = object.key.into();
                    let named = |error: Error| error.at_path(&full).of_object(&bucket, &key);
                    let remote = Remote {
                        bucket: bucket.clone(),
                        key: key.clone(),
                        size: object.size,
                        etag: object.etag,
                        expected: None,
                    };
                    let place = Place::Below(root, placed.remainder);
                    let size = engine.download_in_lane(remote, place, lane, &cancel).await.map_err(named)?;
                    if host.wants_messages() {
                        host.message(format!("Downloaded {key} to {}", full.display()));
                    }
                    Ok(size)
                });
            }
        }
        drop(pages);
        let (report, error) = batch.finish(broken).await;
        let stopped = error.is_none() && cancel.is_cancelled();
        (report, error.or_else(|| stopped.then(cancelled)))
    }

    async fn root(&self, directory: &Path, bucket: &str, prefix: &KeyPrefix, cancel: &Cancel) -> Result<Arc<Root>> {
        let create = || {
            let (directory, durable) = (directory.to_owned(), self.client.options().durable);
            move || Root::create(&directory, durable)
        };
        Ok(Arc::new(self.patiently(create, bucket, cancel).await?.for_keys(prefix.listing())))
    }

    /// Refuses a page of which a link would lead something outside.
    async fn check_links(
        &self,
        root: &Arc<Root>,
        prefix: &KeyPrefix,
        page: Vec<Option<Placed>>,
    ) -> Result<Vec<Option<Placed>>> {
        if root.was_empty() {
            return Ok(page);
        }
        let (root, listed) = (root.clone(), prefix.listing());
        let check = self.disk.run(move || {
            for placed in page.iter().flatten() {
                // The disk knows paths; people look for keys.
                root.check(&placed.path).map_err(|error| match error.kind() {
                    Kind::SuspiciousKey => suspicious(&format!("{listed}{}", placed.remainder)).caused_by(error),
                    _ => error,
                })?;
            }
            Ok(page)
        });
        check.await?
    }

    /// Lists in a task of its own, a page ahead. It ends when nobody takes pages any more.
    fn list_ahead(&self, bucket: &str, prefix: &KeyPrefix) -> mpsc::Receiver<Result<Option<Vec<Listed>>>> {
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
        let mut listing = self.client.list(bucket, &prefix.listing());
        let window = self.window.clone();
        tokio::spawn(async move {
            loop {
                let page = tokio::select! {
                    () = sender.closed() => return,
                    page = listing.next(Some(&window)) => page,
                };
                let last = !matches!(page, Ok(Some(_)));
                if sender.send(page).await.is_err() || last {
                    return;
                }
            }
        });
        receiver
    }
}
