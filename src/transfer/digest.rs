//! What must be known of bytes before they are sent: our own CRC, the checksum for the header, the hash to be signed.

use ring::digest::{Context, SHA256};

use crate::wire::checksum::{Algorithm, Running, encode_crc64};

/// The sums of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// CRC-64/NVME.
    pub crc64: u64,
    /// The algorithm of `checksum`.
    pub algorithm: Algorithm,
    /// The checksum header's value.
    pub checksum: Option<String>,
    /// SHA-256 in hex, when the body is signed.
    pub sha256: Option<String>,
}

/// Sums that grow as bytes pass.
pub struct Digesting {
    algorithm: Algorithm,
    crc64: crc_fast::Digest,
    other: Running,
    sha256: Option<Context>,
}

impl Digesting {
    /// Begins with no bytes. `signed`: whether SHA-256 is wanted.
    pub fn new(algorithm: Algorithm, signed: bool) -> Self {
        let other = if algorithm == Algorithm::Crc64Nvme { Algorithm::None } else { algorithm };
        Self {
            algorithm,
            crc64: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme),
            other: Running::new(other),
            sha256: signed.then(|| Context::new(&SHA256)),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.crc64.update(bytes);
        self.other.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// The sums.
    pub fn finish(self) -> Digests {
        let crc64 = self.crc64.finalize();
        let checksum = match self.algorithm {
            Algorithm::Crc64Nvme => Some(encode_crc64(crc64)),
            _ => self.other.header_value(),
        };
        let sha256 = self.sha256.map(|context| hex(context.finish().as_ref()));
        Digests { crc64, algorithm: self.algorithm, checksum, sha256 }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_published_vectors() {
        let mut digesting = Digesting::new(Algorithm::Crc64Nvme, true);
        digesting.update(b"1234");
        digesting.update(b"56789");
        let digests = digesting.finish();
        assert_eq!(digests.crc64, 0xae8b_1486_0a79_9888);
        assert_eq!(digests.checksum.as_deref(), Some("rosUhgp5mIg="));
        assert_eq!(digests.sha256.as_deref(), Some("15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"));
    }

    #[test]
    fn another_header_goes_beside_our_own_crc() {
        let mut digesting = Digesting::new(Algorithm::Crc32, false);
        digesting.update(b"123456789");
        let digests = digesting.finish();
        assert_eq!((digests.checksum.as_deref(), digests.sha256), (Some("y/Q5Jg=="), None));
    }
}
