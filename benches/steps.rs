//! Single steps of a transfer, each as the engine does it: `make bench-micro`.

#![allow(clippy::unwrap_used)] // a measurement that meets what it did not expect should stop

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use crc_fast::CrcAlgorithm;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderValue, Request};
use s3bulk::client::Client;
use s3bulk::config::{AddressingStyle, ClientConfig, CredentialSource, Secret, TransferOptions};
use s3bulk::disk::Walk;
use s3bulk::keys::{KeyCheck, KeyPrefix};
use s3bulk::wire::checksum::crc64;
use s3bulk::wire::combine::combine as combined;
use s3bulk::wire::sign::{UNSIGNED, sign_head};

/// Keys of a page, and files of a folder.
const COUNT: usize = 1_000;
const FILES_PER_FOLDER: usize = 100;

fn relative(index: usize) -> String {
    format!("{:03}/{index:05}.bin", index / FILES_PER_FOLDER)
}

fn sign(criterion: &mut Criterion) {
    let identity = Credentials::new("access", "secret", None, None, "bench").into();
    let mut head = Request::put("http://127.0.0.1:9000/bucket/tree/000/00001.bin").body(()).unwrap();
    let headers = [
        ("host", "127.0.0.1:9000"),
        ("content-type", "application/octet-stream"),
        ("content-length", "4096"),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mMg="),
    ];
    for (name, value) in headers {
        head.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    criterion.bench_function("sign a PutObject", |bencher| {
        bencher.iter_batched_ref(
            || head.clone(),
            |head| sign_head(head, UNSIGNED, &identity, "us-east-1", SystemTime::now()).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

fn keys(criterion: &mut Criterion) {
    let prefix = KeyPrefix::new("tree");
    let relative_paths: Vec<_> = (0..COUNT).map(relative).collect();
    let keys: Vec<_> = relative_paths.iter().map(|path| prefix.key(path)).collect();
    let mut group = criterion.benchmark_group("1,000 keys");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("make from paths", |bencher| {
        bencher.iter(|| relative_paths.iter().map(|path| prefix.key(path)).collect::<Vec<_>>());
    });
    group.bench_function("check a page", |bencher| {
        let page = || keys.iter().map(String::as_str);
        bencher.iter_with_large_drop(|| KeyCheck::new(&prefix).check_page(page()).unwrap());
    });
    group.finish();
}

fn walk(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..COUNT {
        let path = folder.path().join(relative(index));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let mut group = criterion.benchmark_group("1,000 files");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("walk", |bencher| {
        bencher.iter(|| assert_eq!(Walk::new(folder.path()).unwrap().map(Result::unwrap).count(), COUNT));
    });
    group.finish();
}

/// With the request for it and its way over loopback: parsing is what takes the time.
fn list(criterion: &mut Criterion) {
    let client = client(serve_the_same_page());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("1,000 listed");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("ask for a page and parse it", |bencher| {
        bencher.iter(|| {
            let page = runtime.block_on(client.list("bucket", "tree/").next(None)).unwrap().unwrap();
            assert_eq!(page.len(), COUNT);
        });
    });
    group.finish();
}

fn client(endpoint_url: String) -> Client {
    let config = ClientConfig {
        endpoint_url: Some(endpoint_url),
        region: "us-east-1".into(),
        addressing_style: AddressingStyle::Path,
        credentials: CredentialSource::Static {
            access_key: "access".into(),
            secret_key: Secret::new("secret"),
            session_token: None,
        },
        ca_bundle: None,
        proxies: s3bulk::config::Proxies::default(),
        adopted: None,
    };
    Client::new(config, TransferOptions::default()).unwrap()
}

/// Answers every request of every connection with one listing; ends with the process.
fn serve_the_same_page() -> String {
    let mut page = "<ListBucketResult><Name>bucket</Name><EncodingType>url</EncodingType>".to_owned();
    for index in 0..COUNT {
        let key = KeyPrefix::new("tree").key(&relative(index));
        write!(
            page,
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>4096</Size>\
             <StorageClass>STANDARD</StorageClass></Contents>"
        )
        .unwrap();
    }
    page += "<IsTruncated>false</IsTruncated></ListBucketResult>";
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, answer) = (socket.unwrap(), answer.clone());
            thread::spawn(move || {
                let lines = BufReader::new(socket.try_clone().unwrap()).lines();
                // A GET ends with its first empty line.
                for _request in lines.map(Result::unwrap).filter(String::is_empty) {
                    socket.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    url
}

fn digest(criterion: &mut Criterion) {
    let bytes = vec![7; 1 << 20];
    let mut group = criterion.benchmark_group("1 MiB");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("CRC64", |bencher| bencher.iter(|| crc64(black_box(&bytes))));
    group.bench_function("CRC64 and SHA-256", |bencher| {
        bencher.iter(|| (crc64(black_box(&bytes)), ring::digest::digest(&ring::digest::SHA256, black_box(&bytes))));
    });
    group.finish();
}

fn combine(criterion: &mut Criterion) {
    let (first, second) = (crc64(b"first"), crc64(b"second"));
    criterion.bench_function("combine 8 MiB", |bencher| {
        bencher.iter(|| combined(CrcAlgorithm::Crc64Nvme, black_box(first), black_box(second), 8 << 20));
    });
}

criterion_group! {
    name = steps;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = sign, keys, walk, list, digest, combine
}
criterion_main!(steps);
