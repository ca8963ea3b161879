//! The life of one connection: requests in, answers out, and the moments at which a fault steps in.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;

use super::error_answer::{ErrorAnswer, scripted};
use super::fault::{Ending, Fault, Moment};
use super::matcher::Event;
use super::operation::Operation;
use super::request::Request;
use super::request_log::RequestRecord;
use super::response::Response;
use super::state::State;
use super::tls::Acceptor;
use super::wire::{Closed, Stream, Wire};
use super::{control, delivery, dispatch};

pub async fn serve(stream: TcpStream, state: Arc<State>, acceptor: Option<Acceptor>, number: usize) {
    let counted = Arc::clone(&state);
    let _open = counted.connection_opened();
    let _no_delay_is_only_faster = stream.set_nodelay(true);
    let event = Event { operation: Operation::Connect, request: None, served_before: 0 };
    let (_, faults) = state.choose(&event);
    let mut wire = Wire::new(Stream::Plain(stream), Arc::clone(&state));
    // Before TLS, so that these are faults of the handshake if there is one.
    if step_in_before_reading(&mut wire, &faults).await.is_err() {
        return;
    }
    if let Some(acceptor) = acceptor {
        let Some(secured) = acceptor.accept(wire.into_stream(), &state).await else { return };
        wire = Wire::new(secured, state);
    }
    let mut idle = None;
    for served_before in 0.. {
        let connection = Position { number, served_before };
        match exchange(&mut wire, connection, idle).await {
            Ok(limit) => idle = limit,
            Err(Closed) => return,
        }
    }
}

#[derive(Clone, Copy)]
struct Position {
    number: usize,
    served_before: usize,
}

async fn step_in_before_reading(wire: &mut Wire, faults: &[Fault]) -> Result<(), Closed> {
    for fault in faults {
        match fault {
            Fault::DelayRead(delay) => wire.pause(*delay).await?,
            Fault::NeverRead => return Err(wire.end(Ending::HoldUnread).await),
            Fault::EndAfterReading { bytes, ending } => {
                let mut left = *bytes;
                while left > 0 {
                    left -= wire.read_some(left).await?.len();
                }
                return Err(wire.end(*ending).await);
            }
            Fault::CloseUnanswered { moment: Moment::BeforeBody, ending } => return Err(wire.end(*ending).await),
            _ => {}
        }
    }
    Ok(())
}

/// One request and its answer. Returns how long the connection may now be idle.
async fn exchange(wire: &mut Wire, position: Position, idle: Option<Duration>) -> Result<Option<Duration>, Closed> {
    let head = wire.read_head(idle).await?;
    let state = Arc::clone(&wire.state);
    let Some(request) = Request::parse(&head, state.script.virtual_host_suffix.as_deref()) else {
        wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
        return Err(wire.end(Ending::FinAndDrain).await);
    };
    if control::concerns(&request) {
        let mut body = IncomingBody::of(&request, &[], usize::MAX);
        let text = body.read(wire, u64::MAX).await?;
        let response = control::answer(&state, &request, &text);
        delivery::deliver(wire, &request, response, &[], usize::MAX).await?;
        return Ok(None);
    }
    let _in_flight = state.request_begun(request.operation);
    let event = Event { operation: request.operation, request: Some(&request), served_before: position.served_before };
    let (rules, faults) = state.choose(&event);
    let record = state.record(RequestRecord::new(&request, position.number, position.served_before, rules));
    answer(wire, request, &faults, record).await?;
    Ok(faults.iter().find_map(|fault| if let Fault::CloseIdleAfter(limit) = fault { Some(*limit) } else { None }))
}

async fn answer(wire: &mut Wire, request: Request, faults: &[Fault], record: usize) -> Result<(), Closed> {
    let mut body = IncomingBody::of(&request, faults, record);
    step_in_before_reading(wire, faults).await?;
    let replacing = faults.iter().find_map(|fault| match fault {
        Fault::Status(status) => Some((status.moment, status.ending)),
        Fault::CloseUnanswered { moment, ending } => Some((*moment, *ending)),
        _ => None,
    });
    let refused = refuse_framing(&request);
    let wanted = match replacing {
        Some((Moment::BeforeBody, _)) => 0,
        Some((Moment::AfterBytes(count), _)) => count,
        _ if refused.is_some() => 0,
        _ => u64::MAX,
    };
    let bytes = body.read(wire, wanted).await?;
    let closes = request.wants_close();
    let mut ending = if closes { Ending::Fin } else { Ending::KeepOpen };
    if let Some((_, scripted_ending)) = replacing {
        ending = scripted_ending;
        for fault in faults {
            if let Fault::Status(status) = fault {
                delivery::deliver(wire, &request, scripted(status, &request), faults, record).await?;
            }
        }
    } else if let Some(error) = refused {
        ending = Ending::FinAndDrain;
        let response = error.into_response(&request).with("Connection", "close");
        delivery::deliver(wire, &request, response, faults, record).await?;
    } else {
        let response: Response = dispatch::answer(&wire.state, request.clone(), bytes, faults);
        for fault in faults {
            if let Fault::DropAnswer(ending) = fault {
                return Err(wire.end(*ending).await);
            }
        }
        delivery::deliver(wire, &request, response, faults, record).await?;
    }
    for fault in faults {
        if let Fault::EndWith(scripted_ending) = fault {
            ending = *scripted_ending;
        }
    }
    if ending != Ending::KeepOpen {
        return Err(wire.end(ending).await);
    }
    // As a server that goes on reading what it no longer wants.
    while body.left > 0 {
        body.read_piece(wire).await?;
    }
    Ok(())
}

/// S3 takes no body without a length (411), nor one in chunks (501).
fn refuse_framing(request: &Request) -> Option<ErrorAnswer> {
    if request.header("transfer-encoding").is_some() {
        let message = "A header you provided implies functionality that is not implemented: Transfer-Encoding";
        return Some(ErrorAnswer::new(501, "NotImplemented", message));
    }
    let needs_length =
        matches!(request.operation, Operation::PutObject | Operation::UploadPart | Operation::CompleteMultipartUpload);
    (needs_length && request.content_length().is_none())
        .then(|| ErrorAnswer::new(411, "MissingContentLength", "You must provide the Content-Length HTTP header."))
}

/// The part of a request's body that is still on its way.
struct IncomingBody {
    left: u64,
    pace: Option<(usize, Duration)>,
    asks_to_continue: bool,
    record: usize,
}

impl IncomingBody {
    fn of(request: &Request, faults: &[Fault], record: usize) -> IncomingBody {
        let pace = faults.iter().find_map(|fault| match fault {
            Fault::SlowRead { bytes, interval } => Some(((*bytes).max(1), *interval)),
            _ => None,
        });
        let silent = faults.iter().any(|fault| matches!(fault, Fault::IgnoreExpect));
        IncomingBody {
            left: request.content_length().unwrap_or(0),
            pace,
            asks_to_continue: request.expects_continue() && !silent,
            record,
        }
    }

    /// As many bytes as wanted, or the whole rest. Says `100 Continue` if it is asked for and a byte is wanted.
    async fn read(&mut self, wire: &mut Wire, wanted: u64) -> Result<Bytes, Closed> {
        let mut wanted = wanted.min(self.left);
        if wanted > 0 && std::mem::take(&mut self.asks_to_continue) {
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut bytes = BytesMut::new();
        while wanted > 0 {
            let piece = self.read_at_most(wire, wanted).await?;
            wanted -= piece.len() as u64;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    async fn read_piece(&mut self, wire: &mut Wire) -> Result<Bytes, Closed> {
        self.read_at_most(wire, self.left).await
    }

    async fn read_at_most(&mut self, wire: &mut Wire, at_most: u64) -> Result<Bytes, Closed> {
        let mut limit = usize::try_from(at_most).unwrap_or(usize::MAX);
        if let Some((bytes, interval)) = self.pace {
            wire.pause(interval).await?;
            limit = limit.min(bytes);
        }
        let piece = wire.read_some(limit).await?;
        self.left -= piece.len() as u64;
        wire.state.amend_record(self.record, |record| record.body_bytes += piece.len() as u64);
        Ok(piece)
    }
}
