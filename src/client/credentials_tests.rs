//! The one cache that both planes take identities from.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

use tokio::sync::Semaphore;

use super::*;
use crate::config::Secret;
use crate::wire::pool::{Pool, Timeouts};
use crate::wire::proxy::Routes;
use crate::wire::resolve::system_look_up;
use crate::wire::tls::Tls;

#[test]
fn credentials_are_refreshed_five_minutes_or_a_quarter_early() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    for (lifetime, early) in [(3600, 300), (1200, 300), (400, 100), (20, 5), (0, 0)] {
        let expiry = now + Duration::from_secs(lifetime);
        assert_eq!(refresh_time(now, expiry), expiry - Duration::from_secs(early), "{lifetime}");
    }
}

/// Hands out credentials `key1`, `key2`, ... when it is allowed to, each valid for so long.
#[derive(Debug)]
struct Numbered {
    lifetime: Duration,
    given: AtomicUsize,
    allowed: Semaphore,
}

impl ProvideCredentials for Numbered {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.allowed.acquire().await.map_err(CredentialsError::provider_error)?.forget();
            let number = self.given.fetch_add(1, SeqCst) + 1;
            let expiry = Some(SystemTime::now() + self.lifetime);
            Ok(Credentials::new(format!("key{number}"), "secret", None, expiry, "test"))
        })
    }
}

fn cache(source: CredentialSource) -> Arc<CredentialCache> {
    let tls = Tls::new(None).unwrap();
    let pool = Pool::new(tls, Routes::default(), system_look_up(), Duration::from_secs(1));
    let timeouts = Timeouts { connect: Duration::from_secs(1), read: Duration::from_secs(1) };
    CredentialCache::new(source, "r".into(), SdkHttp::new(pool, timeouts))
}

fn numbered(lifetime: Duration, allowed: usize) -> (SharedCredentials, Arc<Numbered>) {
    let provider = Arc::new(Numbered { lifetime, given: AtomicUsize::new(0), allowed: Semaphore::new(allowed) });
    let cache = cache(CredentialSource::DefaultChain { profile: None });
    assert!(cache.chain.set(Box::new(provider.clone() as Arc<dyn ProvideCredentials>)).is_ok());
    (SharedCredentials(cache), provider)
}

fn key(identity: &Identity) -> &str {
    identity.data::<Credentials>().unwrap().access_key_id()
}

#[tokio::test]
async fn a_callers_keys_are_asked_for_in_each_call_and_stay_for_clean_up() {
    let shared = SharedCredentials(cache(CredentialSource::Caller));
    let given = AtomicUsize::new(0);
    let asked = shared.0.desk().arrive(move |question| {
        let access_key = format!("key{}", given.fetch_add(1, SeqCst) + 1);
        let keys = Keys { access_key, secret_key: Secret::new("secret"), session_token: None, lasting: None };
        assert!(question.take().unwrap().send(keys).is_ok());
    });
    assert_eq!(key(&shared.identity().await.unwrap()), "key1");
    assert_eq!(shared.known().as_ref().map(key), Some("key1"));
    shared.0.renew();
    assert!(shared.known().is_none());
    assert_eq!(key(&shared.identity().await.unwrap()), "key2");
    shared.0.renew();
    drop(asked);
    let last = shared.identity().await.unwrap();
    assert_eq!(key(&last), "key2");
    shared.forget(&last);
    assert_eq!(shared.identity().await.unwrap_err().kind(), &Kind::Credentials);
}

#[tokio::test]
async fn a_late_refusal_of_old_credentials_leaves_the_new_ones() {
    let (shared, provider) = numbered(Duration::from_secs(3600), 9);
    let old = shared.identity().await.unwrap();
    shared.forget(&old);
    assert!(shared.known().is_none());
    let new = shared.identity().await.unwrap();
    shared.forget(&old);
    assert_eq!(shared.known().as_ref().map(key), Some("key2"));
    shared.forget(&new);
    assert_eq!((key(&shared.identity().await.unwrap()), provider.given.load(SeqCst)), ("key3", 3));
}

#[tokio::test(start_paused = true)]
async fn an_early_refresh_makes_nobody_else_wait() {
    let (shared, provider) = numbered(Duration::from_secs(3600), 1);
    let old = shared.identity().await.unwrap();
    {
        let mut known = shared.0.slot();
        let known = known.as_mut().unwrap();
        known.refresh_at = Some(SystemTime::now());
        known.tried -= BETWEEN_TRIES;
    }
    assert!(shared.known().is_none());
    let mut first = shared.identity();
    assert!(asked_once(&mut first).await.is_none(), "the provider has not answered");
    assert_eq!(key(&shared.identity().await.unwrap()), key(&old));
    provider.allowed.add_permits(1);
    assert_eq!((key(&first.await.unwrap()), provider.given.load(SeqCst)), ("key2", 2));
}

#[tokio::test(start_paused = true)]
async fn without_valid_credentials_all_wait_for_one_look_up() {
    let (shared, provider) = numbered(Duration::from_secs(3600), 0);
    let mut waiting: Vec<_> = (0..8).map(|_| shared.identity()).collect();
    for one in &mut waiting {
        assert!(asked_once(one).await.is_none());
    }
    provider.allowed.add_permits(8);
    for one in waiting {
        assert_eq!(key(&one.await.unwrap()), "key1");
    }
    assert_eq!(provider.given.load(SeqCst), 1);
}

/// What a future has to say when it is asked once.
async fn asked_once<T>(work: &mut BoxFuture<T>) -> Option<T> {
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
