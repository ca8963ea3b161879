//! The native client and its transfers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use pyo3::prelude::*;

use super::failure::{attach_report, to_python};
use super::options;
use super::report::PyReport;
use super::threads;
use super::visit::Visit;
use super::wait::{Caller, WARNING, run};
use crate::client::Client;
use crate::config::{AddressingStyle, Adopted, ClientConfig, CredentialSource, Proxies, Secret, TransferOptions};
use crate::error::{Error, Result};
use crate::transfer::{Engine, Host, LocalFile, Report};

/// A client whose transfers run in Rust.
#[pyclass(frozen, weakref, module = "s3bulk._core")]
pub struct NativeClient {
    config: ClientConfig,
    options: TransferOptions,
    /// What gives the keys of a client of the caller's.
    credentials: Option<Py<PyAny>>,
    /// The engine of the process that made it last.
    engine: ArcSwap<(u32, Arc<Engine>)>,
}

fn new_engine(config: &ClientConfig, options: &TransferOptions) -> Result<Arc<Engine>> {
    let client = Client::new(config.clone(), options.clone())?;
    Ok(Engine::with_disk_threads(client, threads::for_the_disk()?))
}

impl NativeClient {
    fn assemble(
        config: ClientConfig,
        options: TransferOptions,
        credentials: Option<Py<PyAny>>,
        engine: Arc<Engine>,
    ) -> Self {
        Self { config, options, credentials, engine: ArcSwap::from_pointee((std::process::id(), engine)) }
    }

    fn caller<'py>(&self, py: Python<'py>, logger: Bound<'py, PyAny>, guess: Option<Bound<'py, PyAny>>) -> Caller<'py> {
        Caller { logger, guess, credentials: self.credentials.as_ref().map(|credentials| credentials.bind(py).clone()) }
    }

    /// The engine; a forked child makes its own and leaks its parent's, whose threads it does not have.
    fn engine(&self) -> Result<Arc<Engine>> {
        let current = self.engine.load_full();
        if current.0 == std::process::id() {
            return Ok(current.1.clone());
        }
        let engine = new_engine(&self.config, &self.options)?;
        let inherited = self.engine.swap(Arc::new((std::process::id(), engine.clone())));
        std::mem::forget((inherited, current));
        Ok(engine)
    }

    /// A transfer of many files: the report, or the error with the report.
    fn bulk<W>(
        &self,
        py: Python<'_>,
        caller: &Caller<'_>,
        begin: impl FnOnce(Arc<Engine>, Arc<dyn Host>, crate::transfer::Cancel) -> W,
    ) -> PyResult<Py<PyReport>>
    where
        W: Future<Output = (Report, Option<Error>)> + Send + 'static,
    {
        let visit = Visit::begin(py);
        let engine = self.engine().map_err(|error| to_python(py, &error, None))?;
        let client = engine.client().clone();
        run(
            py,
            &visit,
            caller,
            client.desk(),
            |line, cancel| begin(engine, Arc::new(line), cancel),
            |py, (report, error): (Report, Option<Error>), interrupted| {
                let report = PyReport::new(py, &report)?;
                match (interrupted, error) {
                    (Some(interrupted), _) => {
                        attach_report(py, &interrupted, report)?;
                        Err(interrupted)
                    }
                    (None, Some(error)) => Err(to_python(py, &error, Some(&report))),
                    (None, None) => Ok(report),
                }
            },
        )
    }

    /// A transfer of one thing.
    fn single<T, W>(
        &self,
        py: Python<'_>,
        caller: &Caller<'_>,
        begin: impl FnOnce(Arc<Engine>, super::wait::Line<Result<T>>, crate::transfer::Cancel) -> W,
    ) -> PyResult<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let visit = Visit::begin(py);
        let engine = self.engine().map_err(|error| to_python(py, &error, None))?;
        let client = engine.client().clone();
        run(
            py,
            &visit,
            caller,
            client.desk(),
            |line, cancel| begin(engine, line, cancel),
            |py, done: Result<T>, interrupted| match interrupted {
                Some(interrupted) => Err(interrupted),
                None => done.map_err(|error| to_python(py, &error, None)),
            },
        )
    }
}

impl Drop for NativeClient {
    /// In a forked child the engine is still the parent's: its threads are not here, and its locks may be held by them.
    fn drop(&mut self) {
        let current = self.engine.load_full();
        if current.0 != std::process::id() {
            std::mem::forget(current);
        }
    }
}

#[pymethods]
impl NativeClient {
    #[new]
    #[pyo3(signature = (*, endpoint_url, region, addressing_style, access_key, secret_key, session_token, web_identity,
                        profile, credentials, ca_bundle, proxies))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the one place that makes clients")]
    fn new(
        py: Python<'_>,
        endpoint_url: Option<String>,
        region: String,
        addressing_style: &str,
        access_key: Option<String>,
        secret_key: Option<String>,
        session_token: Option<String>,
        web_identity: Option<(PathBuf, String, Option<String>)>,
        profile: Option<String>,
        credentials: Option<Py<PyAny>>,
        ca_bundle: Option<PathBuf>,
        mut proxies: HashMap<String, String>,
    ) -> PyResult<Self> {
        let _visit = Visit::begin(py);
        let source = match (access_key, secret_key, web_identity) {
            _ if credentials.is_some() => CredentialSource::Caller,
            (Some(access_key), Some(secret_key), _) => CredentialSource::Static {
                access_key,
                secret_key: Secret::new(secret_key),
                session_token: session_token.map(Secret::new),
            },
            (_, _, Some((token_file, role_arn, session_name))) => {
                CredentialSource::WebIdentity { token_file, role_arn, session_name }
            }
            _ => CredentialSource::ProfileChain { profile },
        };
        let proxies = Proxies {
            http: proxies.remove("http").map(Secret::new),
            https: proxies.remove("https").map(Secret::new),
            no_proxy: proxies.remove("no").unwrap_or_default(),
        };
        let build = || {
            let addressing_style = AddressingStyle::from_name(addressing_style)?;
            let adopted = None;
            let config = ClientConfig {
                endpoint_url,
                region,
                addressing_style,
                credentials: source,
                ca_bundle,
                proxies,
                adopted,
            };
            let options = TransferOptions::default();
            let engine = new_engine(&config, &options)?;
            Ok(Self::assemble(config, options, credentials, engine))
        };
        build().map_err(|error: Error| to_python(py, &error, None))
    }

    /// Stands in for a client of the caller's.
    #[staticmethod]
    #[pyo3(signature = (*, credentials, verify, ca_bundle, proxies, request_checksums, response_checksums,
                        user_agent_extra, options))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the one place that adopts clients")]
    fn adopt(
        py: Python<'_>,
        credentials: Option<Py<PyAny>>,
        verify: bool,
        ca_bundle: Option<PathBuf>,
        mut proxies: HashMap<String, String>,
        request_checksums: bool,
        response_checksums: bool,
        user_agent_extra: Option<String>,
        options: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let _visit = Visit::begin(py);
        let options = options::from_python(options)?;
        let config = ClientConfig {
            endpoint_url: None,
            // The SDK asks for one before it asks where the bucket is, which decides.
            region: "us-east-1".to_owned(),
            addressing_style: AddressingStyle::Auto,
            credentials: match credentials {
                Some(_) => CredentialSource::Caller,
                None => CredentialSource::Anonymous,
            },
            ca_bundle,
            proxies: Proxies {
                http: proxies.remove("http").map(Secret::new),
                https: proxies.remove("https").map(Secret::new),
                no_proxy: String::new(),
            },
            adopted: Some(Adopted { verify, request_checksums, response_checksums, user_agent_extra }),
        };
        let engine = Client::new(config.clone(), options.clone()).map(Engine::new);
        let engine = engine.map_err(|error| to_python(py, &error, None))?;
        Ok(Self::assemble(config, options, credentials, engine))
    }

    /// Says where requests of a bucket go from now on. Keys are asked for again when the first of them is signed.
    fn aim(&self, py: Python<'_>, bucket: &str, url: &str, region: &str) -> PyResult<()> {
        let _visit = Visit::begin(py);
        let placed = self.engine().and_then(|engine| engine.client().place(bucket, url, region));
        placed.map_err(|error| to_python(py, &error, None))
    }

    fn with_options(&self, py: Python<'_>, options: &Bound<'_, PyAny>) -> PyResult<Self> {
        let _visit = Visit::begin(py);
        let options = options::from_python(options)?;
        let engine = self.engine().and_then(|engine| engine.with_options(options.clone()));
        let engine = engine.map_err(|error| to_python(py, &error, None))?;
        let credentials = self.credentials.as_ref().map(|credentials| credentials.clone_ref(py));
        Ok(Self::assemble(self.config.clone(), options, credentials, engine))
    }

    fn ensure_bucket(
        &self,
        py: Python<'_>,
        bucket: String,
        region: String,
        logger: Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let caller = self.caller(py, logger, None);
        self.single(py, &caller, |engine, line, cancel| async move {
            let refused = |error: &Error| line.log(WARNING, format!("HeadBucket failed: {error}"));
            engine.ensure_bucket(&bucket, &region, refused, &cancel).await
        })
    }

    fn upload_file(
        &self,
        py: Python<'_>,
        path: PathBuf,
        bucket: String,
        key: String,
        content_type: String,
        logger: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let caller = self.caller(py, logger, None);
        self.single(py, &caller, |engine, line, cancel| async move {
            let file = LocalFile { path, bucket: bucket.into(), key, content_type };
            engine.upload_file(&file, &cancel).await?;
            if line.wants_messages() {
                line.message(format!("Uploaded {} to s3://{}/{}", file.path.display(), file.bucket, file.key));
            }
            Ok(())
        })
    }

    fn download_file(
        &self,
        py: Python<'_>,
        bucket: String,
        key: String,
        path: PathBuf,
        logger: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let caller = self.caller(py, logger, None);
        self.single(py, &caller, |engine, line, cancel| async move {
            engine.download_file(&bucket, &key, path.clone(), &cancel).await?;
            if line.wants_messages() {
                line.message(format!("Downloaded s3://{bucket}/{key} to {}", path.display()));
            }
            Ok(())
        })
    }

    fn upload_folder(
        &self,
        py: Python<'_>,
        local_dir: PathBuf,
        bucket: String,
        key_prefix: String,
        guess_content_type: Bound<'_, PyAny>,
        logger: Bound<'_, PyAny>,
    ) -> PyResult<Py<PyReport>> {
        let caller = self.caller(py, logger, Some(guess_content_type));
        self.bulk(py, &caller, |engine, host, cancel| async move {
            engine.upload_folder(&local_dir, &bucket, &key_prefix, &host, &cancel).await
        })
    }

    fn download_prefix(
        &self,
        py: Python<'_>,
        bucket: String,
        key_prefix: String,
        local_dir: PathBuf,
        logger: Bound<'_, PyAny>,
    ) -> PyResult<Py<PyReport>> {
        let caller = self.caller(py, logger, None);
        self.bulk(py, &caller, |engine, host, cancel| async move {
            engine.download_prefix(&bucket, &key_prefix, &local_dir, &host, &cancel).await
        })
    }

    /// Key, id and beginning (seconds since 1970) of each.
    fn abort_incomplete_uploads(
        &self,
        py: Python<'_>,
        bucket: String,
        key_prefix: String,
        older_than: Duration,
        dry_run: bool,
        logger: Bound<'_, PyAny>,
    ) -> PyResult<Vec<(String, String, f64)>> {
        let caller = self.caller(py, logger, None);
        let found = self.single(py, &caller, |engine, _, cancel| async move {
            engine.abort_incomplete_uploads(&bucket, &key_prefix, older_than, dry_run, &cancel).await
        })?;
        let seconds = |time: Option<SystemTime>| time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let found = found.into_iter();
        Ok(found.map(|one| (one.key, one.id, seconds(one.initiated).unwrap_or_default().as_secs_f64())).collect())
    }

    /// Bytes of buffers in use and units in flight: both zero when nothing is under way.
    fn in_use(&self, py: Python<'_>) -> PyResult<(u64, usize)> {
        let _visit = Visit::begin(py);
        let engine = self.engine().map_err(|error| to_python(py, &error, None))?;
        Ok((engine.buffered(), engine.in_flight()))
    }
}

/// The multipart uploads that clients of this process had under way at one moment.
#[pyclass(frozen, module = "s3bulk._core")]
pub struct UploadsUnderWay(crate::transfer::UploadsUnderWay);

#[pymethods]
impl UploadsUnderWay {
    #[new]
    fn now() -> Self {
        Self(crate::transfer::UploadsUnderWay::now())
    }

    fn includes(&self, bucket: &str, key: &str, upload_id: &str) -> bool {
        self.0.includes(bucket, key, upload_id)
    }
}
