//! Names to addresses: looked up once for many connections, spread over all addresses, bad ones remembered.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::body::BoxFuture;

/// How long an answer is used. S3's own records live 5 s and more; long enough that a burst of connections asks once.
const FRESH: Duration = Duration::from_secs(10);
/// How long an address that could not be reached is tried last. In three answers' time a front end that has gone is out
/// of DNS, and one that only stumbled is back.
const BAD: Duration = Duration::from_secs(30);

/// Asks for the addresses of a name.
pub type LookUp = dyn Fn(&str, u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Names as the system knows them.
pub fn system_look_up() -> Arc<LookUp> {
    Arc::new(|host, port| {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    })
}

/// Looks up names for a pool.
pub struct Resolver {
    look_up: Arc<LookUp>,
    names: Mutex<HashMap<(String, u16), Arc<Name>>>,
    bad: Mutex<HashMap<SocketAddr, Instant>>,
}

/// What is known of a name; locked while it is looked up, so that others wait for the same answer.
type Name = tokio::sync::Mutex<Option<Answer>>;

#[derive(Debug)]
struct Answer {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Resolver {
    /// Names as `look_up` knows them.
    pub fn new(look_up: Arc<LookUp>) -> Self {
        Self { look_up, names: Mutex::default(), bad: Mutex::default() }
    }

    /// The addresses of a host in the order in which to try them: shuffled, known bad ones last. One look-up serves
    /// all who ask meanwhile.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let name = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.entry((host.to_owned(), port)).or_default().clone()
        };
        let mut answer = name.lock().await;
        let addresses = match &*answer {
            Some(known) if known.at.elapsed() < FRESH => known.addresses.clone(),
            _ => {
                let addresses = (self.look_up)(host, port).await?;
                *answer = Some(Answer { addresses: addresses.clone(), at: Instant::now() });
                addresses
            }
        };
        drop(answer);
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no address for {host}")));
        }
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(order(addresses, |address| bad.get(address).is_some_and(|since| since.elapsed() < BAD)))
    }

    /// Remembers that an address could not be reached, and asks for the name anew next time.
    pub fn failed(&self, host: &str, address: SocketAddr) {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).insert(address, Instant::now());
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(&(host.to_owned(), address.port()));
    }
}

/// Shuffled, bad ones last, families in turn (RFC 8305 section 4).
fn order(mut addresses: Vec<SocketAddr>, is_bad: impl Fn(&SocketAddr) -> bool) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    fastrand::shuffle(&mut addresses);
    let (bad, good): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_bad);
    let in_turn = |list: Vec<SocketAddr>| {
        let (mut a, mut b): (Vec<_>, Vec<_>) = list.into_iter().partition(|x| x.is_ipv6() != first_is_v6);
        let mut all = Vec::with_capacity(a.len() + b.len());
        while !(a.is_empty() && b.is_empty()) {
            all.extend(b.pop());
            all.extend(a.pop());
        }
        all
    };
    let mut all = in_turn(good);
    all.extend(in_turn(bad));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_bad_ones_come_last() {
        let list = addresses(&["[::1]:1", "[::2]:1", "127.0.0.1:1", "127.0.0.2:1"]);
        let bad = list[1];
        for _ in 0..20 {
            let ordered = order(list.clone(), |address| *address == bad);
            assert_eq!(ordered.last(), Some(&bad));
            assert_eq!(ordered[0], list[0]);
            assert_eq!(ordered.len(), 4);
        }
    }

    #[test]
    fn every_address_comes_first_some_time() {
        let list = addresses(&["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"]);
        let firsts: std::collections::HashSet<_> = (0..200).map(|_| order(list.clone(), |_| false)[0]).collect();
        assert_eq!(firsts.len(), 3);
    }

    #[tokio::test]
    async fn an_address_needs_no_look_up() {
        let resolver = Resolver::new(system_look_up());
        assert_eq!(resolver.addresses("[::1]", 5).await.unwrap(), addresses(&["[::1]:5"]));
        assert!(resolver.names.lock().unwrap().is_empty());
    }
}
