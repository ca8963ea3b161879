//! Which requests go through a proxy, by the rules of Python and of curl together: where either goes straight, so does
//! this.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::config::{Proxies, Secret};
use crate::error::{Error, Kind, Result};

/// Where instance, task and pod credentials come from, on this machine alone (AWS SDKs and Tools Reference Guide, "IMDS"
/// and "Container credential provider").
const METADATA: [&str; 5] = ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"];

/// A proxy.
pub struct Proxy {
    /// Whether it is spoken to over TLS itself.
    pub is_https: bool,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `Proxy-Authorization`, where its URL has a user.
    pub authorization: Option<HeaderValue>,
}

impl Proxy {
    /// For messages: without the password.
    pub fn name(&self) -> String {
        format!("{}://{}:{}", if self.is_https { "https" } else { "http" }, self.host, self.port)
    }

    fn parse(url: &Secret) -> Result<Option<Self>> {
        let url = url.expose().trim();
        if url.is_empty() {
            return Ok(None);
        }
        // A host alone means http, as in botocore.
        let url = match url.split_once("//") {
            Some(("", rest)) => format!("http://{rest}"),
            Some(_) => url.to_owned(),
            None => format!("http://{url}"),
        };
        // What may be a password is not shown.
        let shown = || match (url.split_once("//"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}//***@{host}"),
            _ => url.clone(),
        };
        let refused =
            |why: &str| Error::new(Kind::InvalidConfiguration, format!("the proxy {} can't be used: {why}", shown()));
        let uri: Uri = url.parse().map_err(|_| refused("it is no URL"))?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused("only http and https proxies are spoken to")),
        };
        let (Some(authority), Some(host)) = (uri.authority(), uri.host().filter(|host| !host.is_empty())) else {
            return Err(refused("it names no host"));
        };
        let place = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, place)| place);
        if uri.port_u16().is_none() && place != host {
            return Err(refused("its port is no number"));
        }
        let authorization = match authority.as_str().rsplit_once('@') {
            Some((user, _)) => Some(basic(user).ok_or_else(|| refused("its user name and password are no text"))?),
            None => None,
        };
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Ok(Some(Self { is_https, host: host.to_owned(), port, authorization }))
    }
}

/// RFC 7617.
fn basic(user: &str) -> Option<HeaderValue> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let pair = format!("{}:{}", decode(name)?, decode(password)?);
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The way to each host.
#[derive(Clone, Default)]
pub struct Routes {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    straight: Arc<[Exception]>,
    /// Whether not even this machine is asked directly.
    no_exception: bool,
}

impl Routes {
    /// Reads proxies and exceptions. What can't be used is an error: going straight instead would not be noticed.
    pub fn new(proxies: &Proxies) -> Result<Self> {
        let parse = |url: &Option<Secret>| match url {
            Some(url) => Ok(Proxy::parse(url)?.map(Arc::new)),
            None => Ok::<_, Error>(None),
        };
        let words = proxies.no_proxy.split(|c: char| c == ',' || c.is_whitespace());
        let straight = words.filter_map(Exception::parse).collect();
        Ok(Self { http: parse(&proxies.http)?, https: parse(&proxies.https)?, straight, no_exception: false })
    }

    /// The same for every host: botocore decides once, when a client is made, whether it uses its proxies.
    pub fn for_every_host(self) -> Self {
        Self { no_exception: true, ..self }
    }

    /// The proxy for a URL, if there is one on its way.
    pub fn proxy(&self, uri: &Uri) -> Option<&Arc<Proxy>> {
        let is_https = uri.scheme_str() == Some("https");
        let proxy = if is_https { &self.https } else { &self.http }.as_ref()?;
        let host = bare(uri.host()?).to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let straight = is_local(&host) || self.straight.iter().any(|exception| exception.covers(&host, port));
        (self.no_exception || !straight).then_some(proxy)
    }

    /// What a proxy that reads the request itself wants to see in it. In a tunnel it would reach the server.
    pub fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() == Some("https") {
            return None;
        }
        self.proxy(uri)?.authorization.clone()
    }
}

fn is_local(host: &str) -> bool {
    let is_loopback = |address: IpAddr| address.is_loopback();
    host == "localhost"
        || host.ends_with(".localhost")
        || METADATA.contains(&host)
        || host.parse().is_ok_and(is_loopback)
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.')
}

/// A word of `NO_PROXY`.
#[derive(Debug, PartialEq)]
enum Exception {
    Everything,
    Network(IpAddr, u32),
    /// A name and all below it, on one port or on any.
    Name(String, Option<u16>),
}

impl Exception {
    fn parse(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase();
        if word == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, bits)) = word.split_once('/')
            && let (Ok(address), Ok(bits)) = (bare(address).parse(), bits.parse())
        {
            return Some(Self::Network(address, bits));
        }
        // An IPv6 address has colons of its own.
        let (name, port) = match word.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
                Ok(port) => (name, Some(port)),
                Err(_) => (word.as_str(), None),
            },
            _ => (word.as_str(), None),
        };
        let name = bare(name);
        let name = name.strip_prefix('*').unwrap_or(name).trim_start_matches('.');
        (!name.is_empty()).then(|| Self::Name(name.to_owned(), port))
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Network(network, bits) => host.parse().is_ok_and(|address| is_within(address, *network, *bits)),
            Self::Name(name, only) => {
                let below = host.strip_suffix(name.as_str());
                let same_address =
                    || matches!((host.parse::<IpAddr>(), name.parse::<IpAddr>()), (Ok(a), Ok(b)) if a == b);
                only.is_none_or(|only| only == port)
                    && (below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) || same_address())
            }
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (address ^ network).checked_shr(width - bits).unwrap_or_default() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(http: &str, https: &str, no_proxy: &str) -> Result<Routes> {
        let (http, https) = (Some(Secret::new(http)), Some(Secret::new(https)));
        Routes::new(&Proxies { http, https, no_proxy: no_proxy.into() })
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let routes = routes("a:1", "https://b", "").unwrap();
        let name = |uri: &'static str| routes.proxy(&Uri::from_static(uri)).map(|proxy| proxy.name());
        assert_eq!(name("http://h/k").as_deref(), Some("http://a:1"));
        assert_eq!(name("https://h/k").as_deref(), Some("https://b:443"));
    }

    #[test]
    fn local_addresses_are_never_asked_for_by_proxy() {
        let routes = routes("p", "p", "").unwrap();
        for uri in [
            "http://localhost:9/",
            "http://127.0.0.2/",
            "http://[::1]:9/",
            "http://169.254.169.254/latest",
            "http://169.254.170.2/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(routes.proxy(&Uri::from_static(uri)).is_none(), "{uri}");
        }
        assert!(routes.proxy(&Uri::from_static("http://10.0.0.1/")).is_some());
    }

    #[test]
    fn exceptions_are_those_of_python_and_of_curl() {
        for (no_proxy, uri, straight) in [
            ("", "http://h.x/", false),
            ("*", "http://h.x/", true),
            ("a, *", "http://h.x/", true),
            ("h.x", "http://h.x/", true),
            ("H.X.", "http://h.x/", true),
            ("x", "http://h.x/", true),
            (".x", "http://h.x/", true),
            ("*.x", "http://h.x/", true),
            (".h.x", "http://h.x/", true),
            ("h.x", "http://h.x./", true),
            ("h.x", "http://oh.x/", false),
            ("h.x", "http://h.xx/", false),
            ("a h.x\tb", "http://h.x/", true),
            (" , ,", "http://h.x/", false),
            ("h.x:80", "http://h.x/", true),
            ("h.x:443", "https://h.x/", true),
            ("h.x:81", "http://h.x/", false),
            ("h.x:81", "http://h.x:81/", true),
            ("10.1.2.3", "http://10.1.2.3/", true),
            ("10.1.2.3:9", "http://10.1.2.3:9/", true),
            ("10.1.0.0/16", "http://10.1.2.3/", true),
            ("10.2.0.0/16", "http://10.1.2.3/", false),
            ("0.0.0.0/0", "http://10.1.2.3/", true),
            ("0.0.0.0/0", "http://h.x/", false),
            ("10.1.2.3/33", "http://10.1.2.3/", false),
            ("[2001:db8::1]", "http://[2001:db8::1]/", true),
            ("2001:db8:0::1", "http://[2001:db8::1]/", true),
            ("[2001:db8::1]:80", "http://[2001:db8::1]/", true),
            ("[2001:db8::1]:81", "http://[2001:db8::1]/", false),
            ("2001:db8::/32", "http://[2001:db8::1]/", true),
            ("::/0", "http://[2001:db8::1]/", true),
        ] {
            let routes = routes("p", "p", no_proxy).unwrap();
            assert_eq!(routes.proxy(&Uri::from_static(uri)).is_none(), straight, "{no_proxy:?} {uri}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_its_password_not_shown() {
        for url in ["ftp://p", "socks5://u:hush@p:1", "http://", "http://u:hush@:1", "http://u:hush@p:x", "http://a b"]
        {
            let error = routes(url, "", "").err().unwrap();
            assert_eq!(error.kind(), &Kind::InvalidConfiguration, "{url}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        assert!(routes("", " ", "").unwrap().proxy(&Uri::from_static("http://h/")).is_none());
    }

    #[test]
    fn the_users_name_is_for_the_proxy_alone() {
        let routes = routes("http://us%40er:p%3Aw@p:1", "http://user@p", "direct").unwrap();
        let header = |uri: &'static str| routes.authorization(&Uri::from_static(uri));
        // printf 'us@er:p:w' | base64
        assert_eq!(header("http://h/").unwrap(), "Basic dXNAZXI6cDp3");
        assert_eq!((header("https://h/"), header("http://direct/")), (None, None));
        assert_eq!(routes.https.unwrap().authorization.clone().unwrap(), "Basic dXNlcjo=");
    }
}
