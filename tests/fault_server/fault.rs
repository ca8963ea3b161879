//! The vocabulary of faults.

use std::time::Duration;

use bytes::Bytes;

/// What happens in place of, or on top of, the answer that S3's rules ask for. A rule may carry several.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A status in place of the operation, which is not carried out.
    Status(StatusFault),
    /// On `Operation::Connect`: end the connection after so many bytes of its first request.
    EndAfterReading {
        bytes: usize,
        ending: Ending,
    },
    /// No answer at all, and the operation is not carried out.
    CloseUnanswered {
        moment: Moment,
        ending: Ending,
    },
    /// The operation is carried out and its answer is lost.
    DropAnswer(Ending),
    /// Pause before anything of the connection, or of the request's body, is read.
    DelayRead(Duration),
    DelayHead(Duration),
    DelayBody(Duration),
    /// Request bodies are read `bytes` at a time with a pause between.
    SlowRead {
        bytes: usize,
        interval: Duration,
    },
    /// Read no more of the request; hold the connection until the peer closes it.
    NeverRead,
    HangBeforeHead,
    HangInHead {
        after: usize,
    },
    HangInBody {
        after: usize,
    },
    /// Send the body `bytes` at a time with a pause between.
    Trickle {
        bytes: usize,
        interval: Duration,
    },
    CutHead {
        after: usize,
        ending: Ending,
    },
    /// Declare the whole body, send `after` bytes of it.
    CutBody {
        after: usize,
        ending: Ending,
    },
    /// Send a shorter body and declare that shorter length.
    TruncateBody {
        to: usize,
    },
    /// Answer well, then end the connection so.
    EndWith(Ending),
    /// Close the connection if no next request begins within this time.
    CloseIdleAfter(Duration),
    /// Declare a `Content-Length` that is off by this much.
    ContentLengthOff(i64),
    /// No length: the body ends where the connection does.
    CloseDelimited,
    Chunked,
    /// Chunked, so many bytes in each chunk.
    ChunksOf(usize),
    /// `Transfer-Encoding: chunked` beside a `Content-Length`.
    ChunkedWithLength,
    /// 200 and the whole object, whatever was asked.
    IgnoreRange,
    /// Serve, and declare, a range moved by this many bytes.
    MoveRange(i64),
    /// Serve the bytes of a range moved by this many, and declare the range that was asked for.
    OtherBytes(i64),
    /// Compress the body, as proxies do that don't care whether they may.
    Gzip,
    SetStatus(u16),
    /// Set a response header, byte for byte (a wrong `Content-Range`, a control byte, `content-encoding: gzip`).
    SetHeader(String, Vec<u8>),
    RemoveHeader(String),
    /// Add this many small `x-amz-meta-*` headers.
    ManyHeaders(usize),
    /// Turn the ETag into a weak one.
    WeakEtag,
    /// Flip the lowest bit of the byte at this place of the body.
    FlipBit {
        at: usize,
    },
    /// Flip the lowest bit of the byte at this place of the request's body, before anything looks at it.
    FlipBitSent {
        at: usize,
    },
    /// Send a well-formed checksum that is wrong.
    WrongChecksum,
    /// These bytes in place of status line, head and body.
    Garbage(Vec<u8>),
    /// Informational heads (100, 102, 103) before the answer.
    Informational(Vec<u16>),
    /// Say nothing to `Expect: 100-continue`, read on.
    IgnoreExpect,
    /// 200 whose body is an `<Error>` document; the operation is not carried out.
    ErrorInside200 {
        code: String,
    },
    /// White space for this long between the XML declaration and the root, as S3 does on a slow Complete.
    WhiteSpaceFirst(Duration),
    /// After this answer the object has other bytes.
    ReplaceObject(Bytes),
    List(ListFault),
}

/// How a page of ListObjectsV2 is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFault {
    /// `IsTruncated` is true, there is no token.
    TokenMissing,
    TokenEmpty,
    /// The token leads to the same page again.
    TokenRepeated,
    /// The token leads to the first page again, by a name of its own.
    TokenToStart,
    /// There is no `IsTruncated`.
    FlagMissing,
    /// No `Contents`, `IsTruncated` true, a new token that goes on from the same place.
    EmptyPage,
    /// The document ends in the middle of a tag, the HTTP body is whole.
    BrokenXml,
    IgnoreEncodingType,
    /// An order that is stable over pages, but not that of the bytes.
    Unsorted,
}

/// When, counted in bytes of the request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    BeforeBody,
    AfterBytes(u64),
    AfterBody,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The rest of the request is read and counted, and the connection serves on.
    KeepOpen,
    /// As a careless server: close() at once, which is a FIN, or the kernel's reset if request bytes are unread.
    Fin,
    /// As RFC 9112 section 9.6 wants it: FIN, then read until the peer closes.
    FinAndDrain,
    /// RST, through SO_LINGER 0.
    Reset,
    ResetAfter(Duration),
    /// Nothing more is read or sent until the peer closes.
    HoldUnread,
}

/// What kind of body an error status has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusBody {
    Xml,
    Empty,
    Html,
}

/// A status with its body, headers, moment, and what follows it.
#[derive(Clone, Debug)]
pub struct StatusFault {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub body: StatusBody,
    pub headers: Vec<(String, String)>,
    pub moment: Moment,
    pub ending: Ending,
}

impl Fault {
    /// An XML error after the whole body, connection kept; refine it with `StatusFault`'s methods.
    pub fn status(status: u16, code: &str) -> StatusFault {
        StatusFault {
            status,
            code: code.to_owned(),
            message: "Refused by the script.".to_owned(),
            body: StatusBody::Xml,
            headers: Vec::new(),
            moment: Moment::AfterBody,
            ending: Ending::KeepOpen,
        }
    }

    pub fn set_header(name: &str, value: impl Into<Vec<u8>>) -> Fault {
        Fault::SetHeader(name.to_owned(), value.into())
    }
}

impl StatusFault {
    /// What the document says.
    pub fn message(mut self, message: &str) -> Self {
        self.message = message.to_owned();
        self
    }

    pub fn empty(mut self) -> Self {
        self.body = StatusBody::Empty;
        self
    }

    pub fn html(mut self) -> Self {
        self.body = StatusBody::Html;
        self
    }

    /// `Retry-After`, `x-amz-bucket-region`, `Location`, ...
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn at(mut self, moment: Moment) -> Self {
        self.moment = moment;
        self
    }

    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

impl From<StatusFault> for Fault {
    fn from(status: StatusFault) -> Fault {
        Fault::Status(status)
    }
}

impl From<ListFault> for Fault {
    fn from(fault: ListFault) -> Fault {
        Fault::List(fault)
    }
}
