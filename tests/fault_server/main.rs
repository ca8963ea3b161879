//! The fault server as a program, for tests that aren't Rust: `cargo run --example fault_server -- --help`.
#![allow(clippy::print_stdout, clippy::panic, reason = "a test tool that talks to its parent on standard output")]

#[path = "mod.rs"]
mod fault_server;

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use fault_server::{FaultServer, Script, rule_text};

const HELP: &str = "\
fault_server [--port 0] [--tls] [--bucket NAME]... [--rule RULE]... [--page-size N] [--minimum-part-size BYTES]
             [--equal-parts] [--repeat-complete] [--access-key KEY] [--clock-shift SECONDS] [--virtual-hosts SUFFIX]

Prints the endpoint on its first line (with --tls then the certificate), serves until standard input ends.
A rule is one argument, such as 'id=busy on=PutObject first=2 status=503:SlowDown'; the words are in rule_text.rs.
GET /_stats and GET /_requests answer in JSON lines, POST /_rules adds rules, DELETE /_rules forgets them.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match read_arguments(arguments) {
        Ok((script, buckets)) => serve(script, &buckets),
        Err(reason) => {
            println!("{reason}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn read_arguments(arguments: Vec<String>) -> Result<(Script, Vec<String>), String> {
    let (mut script, mut buckets) = (Script::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        script = match name.as_str() {
            "--port" => script.port(number(&value()?)?),
            "--tls" => script.tls(),
            "--bucket" => {
                buckets.push(value()?);
                script
            }
            "--rule" => script.rule(rule_text::parse(&value()?)?),
            "--page-size" => script.page_size(number(&value()?)?),
            "--minimum-part-size" => script.minimum_part_size(number(&value()?)?),
            "--equal-parts" => script.equal_parts(),
            "--repeat-complete" => script.repeat_complete(),
            "--access-key" => script.require_access_key(&value()?),
            "--clock-shift" => script.clock_shift(number(&value()?)?),
            "--virtual-hosts" => script.virtual_hosts(&value()?),
            other => return Err(format!("unknown argument: {other}")),
        };
    }
    Ok((script, buckets))
}

fn number<Number: std::str::FromStr>(text: &str) -> Result<Number, String> {
    text.parse().map_err(|_| format!("not a number: {text:?}"))
}

fn serve(script: Script, buckets: &[String]) -> ExitCode {
    let server = FaultServer::start(script);
    for bucket in buckets {
        server.create_bucket(bucket);
    }
    println!("{}", server.endpoint());
    if let Some(pem) = server.certificate_pem() {
        print!("{pem}");
    }
    let _parent_is_gone = std::io::stdout().flush();
    // The parent's death closes the pipe: no server is left behind.
    let _ended = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
