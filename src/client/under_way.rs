//! The multipart uploads that clients of this process have under way, so that none of them is taken for one that a crash
//! has left. Not under a lock, which a fork could leave locked.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// All of them; few at a time.
static ALL: ArcSwapOption<Vec<Arc<Place>>> = ArcSwapOption::const_empty();

#[derive(Debug)]
struct Place {
    bucket: String,
    key: String,
    /// `None` until the server has told it.
    id: Option<String>,
}

/// An upload that is known to be under way for as long as this lives.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Place>);

impl UnderWay {
    /// Before its CreateMultipartUpload is sent: from then on a listing may show it.
    pub(super) fn begin(bucket: &str, key: &str) -> Self {
        Self::enter(Place { bucket: bucket.to_owned(), key: key.to_owned(), id: None })
    }

    /// With the id that the server has told.
    pub(super) fn named(self, id: &str) -> Self {
        let Place { bucket, key, .. } = &*self.0;
        // The old one goes when the new one is there.
        Self::enter(Place { bucket: bucket.clone(), key: key.clone(), id: Some(id.to_owned()) })
    }

    fn enter(place: Place) -> Self {
        let place = Arc::new(place);
        ALL.rcu(|all| {
            let all = all.iter().flat_map(|all| all.iter().cloned());
            Some(Arc::new(all.chain([place.clone()]).collect()))
        });
        Self(place)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        ALL.rcu(|all| {
            let left = all.iter().flat_map(|all| all.iter()).filter(|other| !Arc::ptr_eq(other, &self.0));
            Some(Arc::new(left.cloned().collect::<Vec<_>>())).filter(|left| !left.is_empty())
        });
    }
}

/// The uploads that were under way at one moment.
#[derive(Debug)]
pub struct UploadsUnderWay(Option<Arc<Vec<Arc<Place>>>>);

impl UploadsUnderWay {
    /// This moment.
    pub fn now() -> Self {
        Self(ALL.load_full())
    }

    /// Whether a client of this process had an upload under way, or was just beginning one that may be this. In a forked
    /// child those of its parent count too.
    pub fn includes(&self, bucket: &str, key: &str, id: &str) -> bool {
        let is_it = |place: &Arc<Place>| match &place.id {
            Some(known) => known == id,
            None => (place.bucket.as_str(), place.key.as_str()) == (bucket, key),
        };
        self.0.as_ref().is_some_and(|all| all.iter().any(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_known_from_before_it_begins_until_it_has_ended() {
        let known = |id: &str| UploadsUnderWay::now().includes("bucket", "under-way", id);
        assert!(!known("id"));
        let begun = UnderWay::begin("bucket", "under-way");
        assert!(known("id") && known("another"), "any of this key may be it");
        assert!(!UploadsUnderWay::now().includes("bucket", "other key", "id"));
        let named = begun.named("id");
        assert!(known("id") && !known("another"));
        let second = UnderWay::begin("bucket", "under-way").named("another");
        drop(named);
        assert!(!known("id") && known("another"));
        drop(second);
        assert!(!known("another"));
    }

    #[test]
    fn threads_that_begin_and_end_uploads_lose_none() {
        let own = UnderWay::begin("bucket", "own").named("own-id");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..500 {
                        let id = format!("{thread}-{number}");
                        let upload = UnderWay::begin("bucket", &id).named(&id);
                        assert!(UploadsUnderWay::now().includes("bucket", &id, &id));
                        drop(upload);
                        assert!(!UploadsUnderWay::now().includes("bucket", &id, &id));
                    }
                });
            }
        });
        assert!(UploadsUnderWay::now().includes("bucket", "own", "own-id"));
        drop(own);
    }
}
