//! Checksums in S3's words: which algorithm a server takes and how values look in headers.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use http::{HeaderMap, HeaderName};
use md5::{Digest as _, Md5};

use crate::error::Error;

/// What protects a body, best first. Where a server refuses the header, the next one is used from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// `x-amz-checksum-crc64nvme`: S3's own default; a whole object's value also for multipart uploads.
    Crc64Nvme = 0,
    /// `x-amz-checksum-crc32`: known to more servers; composite on multipart uploads.
    Crc32 = 1,
    /// `Content-MD5`: for servers from before the checksum headers.
    Md5 = 2,
    /// Nothing but length and ETag.
    None = 3,
}

const CRC64NVME: HeaderName = HeaderName::from_static("x-amz-checksum-crc64nvme");
const CRC32: HeaderName = HeaderName::from_static("x-amz-checksum-crc32");
const CRC32C: HeaderName = HeaderName::from_static("x-amz-checksum-crc32c");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

impl Algorithm {
    /// The header that carries its value.
    pub fn header(self) -> Option<HeaderName> {
        match self {
            Self::Crc64Nvme => Some(CRC64NVME),
            Self::Crc32 => Some(CRC32),
            Self::Md5 => Some(CONTENT_MD5),
            Self::None => None,
        }
    }

    fn weaker(self) -> Self {
        match self {
            Self::Crc64Nvme => Self::Crc32,
            Self::Crc32 => Self::Md5,
            Self::Md5 | Self::None => Self::None,
        }
    }
}

/// Which algorithm an endpoint takes: remembered for the life of a pool.
#[derive(Debug, Default)]
pub struct Accepted(AtomicU8);

impl Accepted {
    /// For a client that sends none.
    pub fn nothing() -> Self {
        Self(AtomicU8::new(Algorithm::None as u8))
    }

    /// The algorithm to use now.
    pub fn get(&self) -> Algorithm {
        match self.0.load(Relaxed) {
            0 => Algorithm::Crc64Nvme,
            1 => Algorithm::Crc32,
            2 => Algorithm::Md5,
            _ => Algorithm::None,
        }
    }

    /// Steps down when a server has refused the header of `used`. True when the request is worth sending again.
    pub fn refused(&self, used: Algorithm, error: &Error) -> bool {
        let Some(service) = error.as_service() else { return false };
        let names_checksum = || {
            let text = format!("{} {:?}", service.message, service.details).to_ascii_lowercase();
            text.contains("checksum")
                || text.contains("crc64")
                || text.contains("crc32")
                || text.contains("content-md5")
        };
        // A wrong value is no refusal: that one is the body's fault.
        let refused = match service.code.as_str() {
            "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" => false,
            // Only when the answer names it: anything else that is not implemented must not weaken later requests.
            "NotImplemented" | "InvalidArgument" | "InvalidRequest" => names_checksum(),
            _ => false,
        };
        if !refused || used == Algorithm::None {
            return false;
        }
        self.0.fetch_max(used.weaker() as u8, Relaxed);
        true
    }
}

/// A body's checksum of one algorithm, growing as bytes pass.
pub enum Running {
    /// A CRC.
    Crc(Algorithm, Box<crc_fast::Digest>),
    /// An MD5.
    Md5(Box<Md5>),
    /// Nothing.
    None,
}

impl Running {
    /// Begins with no bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc64Nvme => Self::Crc(algorithm, Box::new(crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme))),
            Algorithm::Crc32 => Self::Crc(algorithm, Box::new(crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc))),
            Algorithm::Md5 => Self::Md5(Box::default()),
            Algorithm::None => Self::None,
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, digest) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
            Self::None => {}
        }
    }

    /// The value as it stands in a header.
    pub fn header_value(self) -> Option<String> {
        match self {
            Self::Crc(Algorithm::Crc64Nvme, digest) => Some(encode_crc64(digest.finalize())),
            Self::Crc(_, digest) => Some(STANDARD.encode((digest.finalize() as u32).to_be_bytes())),
            Self::Md5(digest) => Some(STANDARD.encode(digest.finalize())),
            Self::None => None,
        }
    }
}

/// A CRC-64/NVME as it stands in a header.
pub fn encode_crc64(value: u64) -> String {
    STANDARD.encode(value.to_be_bytes())
}

/// CRC-64/NVME of some bytes.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::crc64_nvme(bytes)
}

/// What an answer says the whole object's checksum is, where it can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Its algorithm.
    pub algorithm: CrcAlgorithm,
    /// Its value.
    pub value: u64,
}

impl Expected {
    /// Reads the checksum headers of a whole object. `None` where there are none, or where they are those of parts: a
    /// type other than FULL_OBJECT, a value with `-N`, or no type and an ETag with `-N` (moto leaves both out).
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        match headers.get("x-amz-checksum-type").map(http::HeaderValue::as_bytes) {
            Some(kind) if kind.eq_ignore_ascii_case(b"FULL_OBJECT") => {}
            Some(_) => return None,
            None => {
                let etag = headers.get(http::header::ETAG).map(http::HeaderValue::as_bytes).unwrap_or_default();
                if etag.contains(&b'-') {
                    return None;
                }
            }
        }
        for (name, algorithm, length) in [
            (&CRC64NVME, CrcAlgorithm::Crc64Nvme, 8),
            (&CRC32C, CrcAlgorithm::Crc32Iscsi, 4),
            (&CRC32, CrcAlgorithm::Crc32IsoHdlc, 4),
        ] {
            let Some(text) = headers.get(name) else { continue };
            let Ok(bytes) = STANDARD.decode(text.as_bytes()) else { continue };
            if bytes.len() == length {
                let value = bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
                return Some(Self { algorithm, value });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ServiceError;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn values_are_those_of_the_published_vectors() {
        // "123456789": the check values of the CRC catalogue and of RFC 1321.
        for (algorithm, value) in [
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Crc32, "y/Q5Jg=="),
            (Algorithm::Md5, "JfnnlDI7RTiF9RgfG2JNCw=="),
        ] {
            let mut running = Running::new(algorithm);
            running.update(b"1234");
            running.update(b"56789");
            assert_eq!(running.header_value().as_deref(), Some(value), "{algorithm:?}");
        }
        assert_eq!(Running::new(Algorithm::None).header_value(), None);
    }

    #[test]
    fn only_a_whole_objects_checksum_is_compared() {
        let crc = ("x-amz-checksum-crc32", "y/Q5Jg==");
        for (list, compared) in [
            (vec![crc], true),
            (vec![crc, ("etag", "\"abc\"")], true),
            (vec![crc, ("etag", "\"abc-2\"")], false),
            (vec![crc, ("etag", "\"abc-2\""), ("x-amz-checksum-type", "FULL_OBJECT")], true),
            (vec![crc, ("x-amz-checksum-type", "COMPOSITE")], false),
            (vec![("x-amz-checksum-crc32", "y/Q5Jg==-2")], false),
            (vec![("x-amz-checksum-sha256", "AAAA")], false),
            (vec![], false),
        ] {
            assert_eq!(Expected::from_headers(&headers(&list)).is_some(), compared, "{list:?}");
        }
        let expected = Expected::from_headers(&headers(&[crc])).unwrap();
        assert_eq!(expected.value, 0xcbf4_3926);
    }

    #[test]
    fn a_refused_header_is_remembered_but_a_wrong_value_is_not_a_refusal() {
        let error = |code: &str, message: &str| {
            Error::service(ServiceError {
                status: 400,
                code: code.into(),
                message: message.into(),
                ..ServiceError::default()
            })
        };
        let accepted = Accepted::default();
        assert!(!accepted.refused(Algorithm::Crc64Nvme, &error("BadDigest", "the CRC64NVME checksum is wrong")));
        assert!(!accepted.refused(Algorithm::Crc64Nvme, &error("InvalidArgument", "something else")));
        assert!(!accepted.refused(Algorithm::Crc64Nvme, &error("NotImplemented", "multipart uploads")));
        assert_eq!(accepted.get(), Algorithm::Crc64Nvme);
        assert!(accepted.refused(Algorithm::Crc64Nvme, &error("NotImplemented", "x-amz-checksum-crc64nvme")));
        assert_eq!(accepted.get(), Algorithm::Crc32);
        // A request that was sent before does not step down a second time.
        assert!(accepted.refused(Algorithm::Crc64Nvme, &error("NotImplemented", "x-amz-checksum-crc64nvme")));
        assert_eq!(accepted.get(), Algorithm::Crc32);
        assert!(accepted.refused(Algorithm::Crc32, &error("InvalidArgument", "checksum")));
        assert!(accepted.refused(Algorithm::Md5, &error("InvalidArgument", "Content-MD5")));
        assert_eq!(accepted.get(), Algorithm::None);
        assert!(!accepted.refused(Algorithm::None, &error("InvalidArgument", "checksum")));
    }
}
