//! An S3 endpoint in memory that costs as little as it can: what `make bench` measures clients on.
//!
//! It checks no signature and no checksum, and its ETags are no MD5. The standard library alone, so that `rustc -O` builds
//! it in seconds and no crate comes with it. Prints its URL, and ends when its standard input does: with whoever started it.

#![allow(clippy::print_stdout)]

mod answer;
mod encoding;
mod jitter;
mod list;
mod request;
mod response;
mod store;

use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use self::jitter::Jitter;
use self::request::Request;
use self::store::Store;

const USAGE: &str =
    "options: --latency-ms N, --jitter-ms N (on average, above the latency), --discard (keep sizes and give zeros)";
/// One read of a busy socket; larger ones save nothing on loopback.
const READ_BUFFER: usize = 256 * 1024;

#[derive(Clone, Copy, Default)]
struct Options {
    latency: Duration,
    jitter: Duration,
    discard: bool,
}

fn main() -> io::Result<()> {
    let options = options(std::env::args().skip(1)).ok_or_else(|| io::Error::other(USAGE))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let store = Arc::new(Store::default());
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (store, jitter) = (Arc::clone(&store), Jitter::new(options.jitter));
            // A client that goes away is no concern of the server's.
            thread::spawn(move || serve(socket, &store, options, jitter).ok());
        }
    });
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--latency-ms" => options.latency = Duration::from_millis(arguments.next()?.parse().ok()?),
            "--jitter-ms" => options.jitter = Duration::from_millis(arguments.next()?.parse().ok()?),
            "--discard" => options.discard = true,
            _ => return None,
        }
    }
    Some(options)
}

/// Answers the requests of one connection, one after the other.
fn serve(socket: TcpStream, store: &Store, options: Options, mut jitter: Jitter) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(READ_BUFFER, socket.try_clone()?);
    let mut writer = socket;
    while let Some(request) = Request::read(&mut reader, &mut writer, options.discard)? {
        // Requests without a signature are the runner's own.
        if request.header("authorization").is_some() {
            thread::sleep(options.latency + jitter.next());
        }
        answer::answer(&request, store).write(&mut writer, request.method() == "HEAD")?;
        if request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    Ok(())
}
