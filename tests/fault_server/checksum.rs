//! The checksum algorithms of S3's `x-amz-checksum-*` headers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crc_fast::CrcAlgorithm;
use md5::Digest as _;

use super::error_answer::ErrorAnswer;
use super::request::Request;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    Crc64Nvme,
    Crc32,
    Crc32C,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Crc64Nvme, Algorithm::Crc32, Algorithm::Crc32C, Algorithm::Sha1, Algorithm::Sha256];

    /// As in `x-amz-checksum-algorithm`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32C => "CRC32C",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    pub fn from_name(name: &str) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    pub fn xml_element(self) -> String {
        format!("Checksum{}", self.name())
    }

    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let short = |algorithm| (crc_fast::checksum(algorithm, bytes) as u32).to_be_bytes().to_vec();
        match self {
            Algorithm::Crc64Nvme => crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes().to_vec(),
            Algorithm::Crc32 => short(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32C => short(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Sha1 => ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec(),
            Algorithm::Sha256 => ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec(),
        }
    }

    /// As it stands in a header.
    pub fn base64(self, bytes: &[u8]) -> String {
        BASE64_STANDARD.encode(self.digest(bytes))
    }

    /// The one checksum that a request carries.
    pub fn supplied(request: &Request) -> Result<Option<(Algorithm, String)>, ErrorAnswer> {
        let mut all = Self::ALL.into_iter().filter_map(|it| Some((it, request.header(&it.header())?.to_owned())));
        let first = all.next();
        if all.next().is_some() {
            return Err(ErrorAnswer::new(400, "InvalidRequest", "Expecting a single x-amz-checksum- header."));
        }
        Ok(first)
    }
}

pub fn md5(bytes: &[u8]) -> Vec<u8> {
    md5::Md5::digest(bytes).to_vec()
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With quotes, as S3 writes it for a single PUT without KMS.
pub fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hexadecimal(&md5(bytes)))
}
