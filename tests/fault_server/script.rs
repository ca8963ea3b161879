//! A script: rules plus the traits of the server as a whole.

use super::fault::Fault;
use super::leaky_bucket::Limit;
use super::rule::Rule;
use super::tls::Certificate;

/// S3's smallest part that isn't the last (docs: "Amazon S3 multipart upload limits").
const MINIMUM_PART_SIZE: usize = 5 * 1024 * 1024;
/// Keys on a page of ListObjectsV2 (API_ListObjectsV2, `MaxKeys`).
const PAGE_SIZE: usize = 1000;

#[derive(Clone)]
pub struct Script {
    pub(super) rules: Vec<Rule>,
    pub(super) page_size: usize,
    pub(super) minimum_part_size: usize,
    pub(super) equal_parts: bool,
    pub(super) repeat_complete: bool,
    pub(super) add_checksums: bool,
    pub(super) access_key: Option<String>,
    pub(super) clock_shift: i64,
    pub(super) virtual_host_suffix: Option<String>,
    pub(super) backlog: u32,
    pub(super) port: u16,
    pub(super) tls: Option<Certificate>,
    pub(super) limits: Vec<Limit>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            rules: Vec::new(),
            page_size: PAGE_SIZE,
            minimum_part_size: MINIMUM_PART_SIZE,
            equal_parts: false,
            repeat_complete: false,
            add_checksums: true,
            access_key: None,
            clock_shift: 0,
            virtual_host_suffix: None,
            backlog: 1024,
            port: 0,
            tls: None,
            limits: Vec::new(),
        }
    }
}

impl Script {
    /// No faults, S3's own limits.
    pub fn new() -> Script {
        Script::default()
    }

    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Every request with this header is refused, as servers do that lack a checksum algorithm.
    pub fn refuse_header(self, id: &str, header: &str, status: u16, code: &str) -> Self {
        self.rule(
            Rule::new(id)
                .with_header(header)
                .then(Fault::status(status, code).message(&format!("{header} is not supported"))),
        )
    }

    /// Most entries on a page of any list; the client's `max-keys` can only lower it.
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_size = entries;
        self
    }

    /// Small parts make quick tests; the default is S3's 5 MiB.
    pub fn minimum_part_size(mut self, bytes: usize) -> Self {
        self.minimum_part_size = bytes;
        self
    }

    /// Cloudflare R2's rule: all parts but the last have the same size.
    pub fn equal_parts(mut self) -> Self {
        self.equal_parts = true;
        self
    }

    /// A second Complete is answered 200 again, as SeaweedFS and moto do; the default is NoSuchUpload.
    pub fn repeat_complete(mut self) -> Self {
        self.repeat_complete = true;
        self
    }

    /// Stores no checksum that the client did not send; the default is S3's: it adds a CRC64NVME.
    pub fn without_added_checksums(mut self) -> Self {
        self.add_checksums = false;
        self
    }

    /// Requests must carry a SigV4 `Authorization` with this access key. The signature itself isn't computed.
    pub fn require_access_key(mut self, access_key: &str) -> Self {
        self.access_key = Some(access_key.to_owned());
        self
    }

    /// The server's clock is off by so many seconds, in `Date` and when it judges `x-amz-date`.
    pub fn clock_shift(mut self, seconds: i64) -> Self {
        self.clock_shift = seconds;
        self
    }

    /// Answers `bucket.<suffix>` as virtual-hosted style, beside path style.
    pub fn virtual_hosts(mut self, suffix: &str) -> Self {
        self.virtual_host_suffix = Some(suffix.to_owned());
        self
    }

    /// Length of the kernel's accept queue; with `FaultServer::pause_accepting` connects begin to hang.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Speaks TLS with a certificate for localhost and 127.0.0.1 that `FaultServer::certificate_pem` gives out.
    pub fn tls(self) -> Self {
        self.certificate(Certificate::Good)
    }

    /// The same with a certificate that may be refused.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.tls = Some(certificate);
        self
    }

    /// So many requests per second, and at once, for keys that begin with `prefix`; above that 503 SlowDown, which
    /// counts as fired under `id`.
    pub fn leaky_bucket(mut self, id: &str, prefix: &str, per_second: f64, burst: f64) -> Self {
        self.limits.push(Limit { id: id.to_owned(), prefix: prefix.to_owned(), per_second, burst });
        self
    }
}
