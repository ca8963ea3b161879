//! Rules as one line of text, for scripts that don't come from Rust.
//!
//! A rule is words between blanks, `name=value` or `name`; values may be percent-encoded.
//!
//! | word | meaning |
//! | --- | --- |
//! | `id=busy` | name under which the rule is counted; default `rule` |
//! | `on=PutObject,UploadPart` | operations (`Connect` = an accepted connection); default all requests |
//! | `bucket=b` `key=a/b` `key=a/*` `part=2` `range-start=100` `with-header=expect` `host=h:1` `reused` | which requests |
//! | `nth=2` `first=3` `from=4` `every=5` `probability=0.1:42` | which of those; the 42 is the seed |
//! | `shared` | rules after this one may act on the same request |
//! | `status=503:SlowDown` | answer so; `body=xml\|empty\|html`, `header=Retry-After:1` belong to it |
//! | `close-unanswered` | no answer, nothing done |
//! | `moment=before-body\|after-body\|after:1000` | when, for the two above; default after the body |
//! | `ending=keep-open\|fin\|fin-and-drain\|reset\|reset-after:20ms\|hold-unread` | what then; also for the cuts |
//! | `drop-answer` | done, but the answer is lost |
//! | `delay-read=1s` `delay-head=50ms` `delay-body=50ms` `blanks=2s` `close-idle=20ms` | pauses |
//! | `slow-read=1000:10ms` `trickle=1:10ms` | so many bytes, then a pause |
//! | `never-read` `hang-before-head` `hang-in-head=10` `hang-in-body=10` | hold until the peer closes |
//! | `cut-head=10` `cut-body=10` `truncate=10` `length-off=-1` `chunked` `close-delimited` | broken framing |
//! | `ignore-range` `move-range=5` `other-bytes=5` `flip-bit=10` `gzip` `wrong-checksum` `weak-etag` | wrong content |
//! | `end-after-reading=10` | on `Connect`: so many bytes are read, then `ending` |
//! | `set-header=Name:value` `remove-header=ETag` `set-status=200` `many-headers=1000` | other heads |
//! | `error-inside-200=InternalError` | as CompleteMultipartUpload fails |
//! | `list=token-missing\|token-empty\|token-repeated\|token-to-start\|flag-missing\|empty-page\|broken-xml` | |
//! | `list=ignore-encoding-type\|unsorted` | |

use std::str::FromStr;
use std::time::Duration;

use super::fault::{Ending, Fault, ListFault, Moment};
use super::matcher::Occurrence;
use super::operation::Operation;
use super::rule::Rule;

/// The rule, or what is wrong with its text.
pub fn parse(text: &str) -> Result<Rule, String> {
    let words: Vec<(&str, String)> = text.split_whitespace().map(split_word).collect::<Result<_, _>>()?;
    let last = |wanted: &str| words.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str());
    let moment = last("moment").map_or(Ok(Moment::AfterBody), parse_moment)?;
    let ending = last("ending").map(parse_ending).transpose()?;
    let mut rule = Rule::new(last("id").unwrap_or("rule"));
    for (name, value) in &words {
        rule = match *name {
            "id" | "moment" | "ending" | "body" | "header" => rule,
            "status" => {
                let (status, code) = value.split_once(':').unwrap_or((value, "ScriptedError"));
                let mut fault = Fault::status(number(status)?, code).at(moment);
                fault.ending = ending.unwrap_or(Ending::KeepOpen);
                fault = match last("body") {
                    None | Some("xml") => fault,
                    Some("empty") => fault.empty(),
                    Some("html") => fault.html(),
                    Some(other) => return Err(format!("unknown body: {other}")),
                };
                for (_, header) in words.iter().filter(|(name, _)| *name == "header") {
                    let (name, value) = pair(header)?;
                    fault = fault.header(name, value);
                }
                rule.then(fault)
            }
            "close-unanswered" => rule.then(Fault::CloseUnanswered { moment, ending: ending.unwrap_or(Ending::Fin) }),
            "drop-answer" => rule.then(Fault::DropAnswer(ending.unwrap_or(Ending::Fin))),
            "cut-head" => rule.then(Fault::CutHead { after: number(value)?, ending: ending.unwrap_or(Ending::Fin) }),
            "cut-body" => rule.then(Fault::CutBody { after: number(value)?, ending: ending.unwrap_or(Ending::Fin) }),
            "end-after-reading" => {
                rule.then(Fault::EndAfterReading { bytes: number(value)?, ending: ending.unwrap_or(Ending::Reset) })
            }
            _ => match narrow(rule.clone(), name, value)? {
                Some(narrowed) => narrowed,
                None => rule.then(simple_fault(name, value)?),
            },
        };
    }
    Ok(rule)
}

fn split_word(word: &str) -> Result<(&str, String), String> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let value = percent_encoding::percent_decode_str(value).decode_utf8().map_err(|error| error.to_string())?;
    Ok((name, value.into_owned()))
}

/// Words about which requests the rule takes.
fn narrow(mut rule: Rule, name: &str, value: &str) -> Result<Option<Rule>, String> {
    Ok(Some(match name {
        "on" => {
            for operation in value.split(',') {
                let known = Operation::from_name(operation);
                rule = rule.on(known.ok_or_else(|| format!("unknown operation: {operation}"))?);
            }
            rule
        }
        "bucket" => rule.bucket(value),
        "key" => match value.strip_suffix('*').map(str::to_owned) {
            Some(prefix) => rule.key_where(move |key| key.starts_with(&prefix)),
            None => rule.key(value),
        },
        "part" => rule.part_number(number(value)?),
        "range-start" => rule.range_start(number(value)?),
        "with-header" => rule.with_header(value),
        "host" => rule.host(value),
        "reused" => rule.reused_connection(),
        "nth" => rule.nth(number(value)?),
        "first" => rule.first(number(value)?),
        "from" => rule.from(number(value)?),
        "every" => rule.every(number(value)?),
        "probability" => {
            let (share, seed) = pair(value)?;
            rule.occurrence(Occurrence::Probability { share: number(share)?, seed: number(seed)? })
        }
        "shared" => rule.shared(),
        _ => return Ok(None),
    }))
}

fn simple_fault(name: &str, value: &str) -> Result<Fault, String> {
    Ok(match name {
        "delay-read" => Fault::DelayRead(duration(value)?),
        "delay-head" => Fault::DelayHead(duration(value)?),
        "delay-body" => Fault::DelayBody(duration(value)?),
        "blanks" => Fault::WhiteSpaceFirst(duration(value)?),
        "close-idle" => Fault::CloseIdleAfter(duration(value)?),
        "slow-read" => {
            let (bytes, interval) = pair(value)?;
            Fault::SlowRead { bytes: number(bytes)?, interval: duration(interval)? }
        }
        "trickle" => {
            let (bytes, interval) = pair(value)?;
            Fault::Trickle { bytes: number(bytes)?, interval: duration(interval)? }
        }
        "never-read" => Fault::NeverRead,
        "hang-before-head" => Fault::HangBeforeHead,
        "hang-in-head" => Fault::HangInHead { after: number(value)? },
        "hang-in-body" => Fault::HangInBody { after: number(value)? },
        "truncate" => Fault::TruncateBody { to: number(value)? },
        "length-off" => Fault::ContentLengthOff(number(value)?),
        "chunked" => Fault::Chunked,
        "chunks-of" => Fault::ChunksOf(number(value)?),
        "close-delimited" => Fault::CloseDelimited,
        "ignore-range" => Fault::IgnoreRange,
        "move-range" => Fault::MoveRange(number(value)?),
        "other-bytes" => Fault::OtherBytes(number(value)?),
        "gzip" => Fault::Gzip,
        "flip-bit-sent" => Fault::FlipBitSent { at: number(value)? },
        "flip-bit" => Fault::FlipBit { at: number(value)? },
        "wrong-checksum" => Fault::WrongChecksum,
        "weak-etag" => Fault::WeakEtag,
        "set-header" => {
            let (name, value) = pair(value)?;
            Fault::set_header(name, value)
        }
        "remove-header" => Fault::RemoveHeader(value.to_owned()),
        "set-status" => Fault::SetStatus(number(value)?),
        "many-headers" => Fault::ManyHeaders(number(value)?),
        "error-inside-200" => Fault::ErrorInside200 { code: value.to_owned() },
        "list" => Fault::List(match value {
            "token-missing" => ListFault::TokenMissing,
            "token-empty" => ListFault::TokenEmpty,
            "token-repeated" => ListFault::TokenRepeated,
            "token-to-start" => ListFault::TokenToStart,
            "flag-missing" => ListFault::FlagMissing,
            "empty-page" => ListFault::EmptyPage,
            "broken-xml" => ListFault::BrokenXml,
            "ignore-encoding-type" => ListFault::IgnoreEncodingType,
            "unsorted" => ListFault::Unsorted,
            other => return Err(format!("unknown list fault: {other}")),
        }),
        other => return Err(format!("unknown word: {other}")),
    })
}

fn parse_moment(text: &str) -> Result<Moment, String> {
    match (text, text.strip_prefix("after:")) {
        ("before-body", _) => Ok(Moment::BeforeBody),
        ("after-body", _) => Ok(Moment::AfterBody),
        (_, Some(count)) => Ok(Moment::AfterBytes(number(count)?)),
        _ => Err(format!("unknown moment: {text}")),
    }
}

fn parse_ending(text: &str) -> Result<Ending, String> {
    match (text, text.strip_prefix("reset-after:")) {
        ("keep-open", _) => Ok(Ending::KeepOpen),
        ("fin", _) => Ok(Ending::Fin),
        ("fin-and-drain", _) => Ok(Ending::FinAndDrain),
        ("reset", _) => Ok(Ending::Reset),
        ("hold-unread", _) => Ok(Ending::HoldUnread),
        (_, Some(delay)) => Ok(Ending::ResetAfter(duration(delay)?)),
        _ => Err(format!("unknown ending: {text}")),
    }
}

fn number<Number: FromStr>(text: &str) -> Result<Number, String> {
    text.parse().map_err(|_| format!("not a number of the right kind: {text:?}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(milliseconds), _) => Ok(Duration::from_millis(number(milliseconds)?)),
        (_, Some(seconds)) => Ok(Duration::from_secs(number(seconds)?)),
        _ => Err(format!("a time is written as 20ms or 3s, not {text:?}")),
    }
}

fn pair(text: &str) -> Result<(&str, &str), String> {
    text.split_once(':').ok_or_else(|| format!("two values with a colon between are missing in {text:?}"))
}
