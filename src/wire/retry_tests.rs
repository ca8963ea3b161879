use super::*;

fn answered(status: u16, code: &str) -> Error {
    Error::service(ServiceError { status, code: code.into(), ..ServiceError::default() })
}

fn answered_with(status: u16, code: &str, header: (&str, &str)) -> Error {
    Error::service(ServiceError {
        status,
        code: code.into(),
        headers: vec![(header.0.into(), header.1.into())],
        ..ServiceError::default()
    })
}

#[test]
fn failures_are_classified() {
    use Class::{ClockSkew, Damaged, ExpiredCredentials, Fatal, Throttle, Transient};
    for (status, code, class) in [
        (503, "SlowDown", Throttle),
        (503, "503", Throttle),
        (429, "429", Throttle),
        (400, "ThrottlingException", Throttle),
        (500, "InternalError", Transient),
        (500, "500", Transient),
        (502, "502", Transient),
        (504, "504", Transient),
        (408, "408", Transient),
        (400, "RequestTimeout", Transient),
        (200, "InternalError", Transient),
        (409, "ConditionalRequestConflict", Transient),
        (501, "NotImplemented", Fatal),
        (400, "BadDigest", Damaged),
        (400, "ExpiredToken", ExpiredCredentials),
        (403, "RequestTimeTooSkewed", ClockSkew),
        (403, "AccessDenied", Fatal),
        (403, "SignatureDoesNotMatch", Fatal),
        (404, "NoSuchKey", Fatal),
        (412, "PreconditionFailed", Fatal),
        (416, "InvalidRange", Fatal),
    ] {
        assert_eq!(classify(&answered(status, code)), class, "{status} {code}");
    }
    for (kind, class) in [
        (Kind::Connect, Transient),
        (Kind::ReadTimeout, Transient),
        (Kind::BodyCut, Transient),
        (Kind::Tls, Fatal),
        (Kind::ChecksumMismatch, Damaged),
        (Kind::SourceChanged, Fatal),
        (Kind::NoCredentials, Fatal),
    ] {
        assert_eq!(classify(&Error::new(kind.clone(), "")), class, "{kind:?}");
    }
}

#[test]
fn a_wrong_region_is_found_in_header_or_document() {
    let region = ("x-amz-bucket-region", "eu-west-1");
    for (status, code) in [
        (301, "PermanentRedirect"),
        (307, "TemporaryRedirect"),
        (301, "301"),
        (400, "400"),
        (400, "AuthorizationHeaderMalformed"),
        (403, "AccessDenied"),
        (403, "403"),
    ] {
        let class = classify(&answered_with(status, code, region));
        assert_eq!(class, Class::WrongRegion("eu-west-1".into()), "{status} {code}");
    }
    assert_eq!(classify(&answered_with(404, "NoSuchKey", region)), Class::Fatal);
    assert_eq!(classify(&answered_with(403, "RequestTimeTooSkewed", region)), Class::ClockSkew);
}

#[test]
fn transient_failures_are_bounded_and_pauses_grow() {
    let mut retry = Retry::new(&TransferOptions::default());
    let error = Error::new(Kind::Connect, "");
    let pauses: Vec<_> = (0..6).map(|_| retry.decide(&error, 1.0)).collect();
    let milliseconds = [Some(50), Some(100), Some(200), Some(400), None, None];
    assert_eq!(pauses, milliseconds.map(|pause| pause.map(Duration::from_millis)));
}

#[test]
fn throttling_has_a_budget_of_pauses() {
    let mut retry = Retry::new(&TransferOptions::default());
    let (mut paused, mut times) = (Duration::ZERO, 0);
    while let Some(pause) = retry.decide(&answered(503, "SlowDown"), 1.0) {
        assert!(pause <= LONGEST_PAUSE);
        paused += pause;
        times += 1;
    }
    assert!(paused <= THROTTLE_TIME && times > 5, "{times}");
    retry.progressed();
    assert!(retry.decide(&answered(503, "SlowDown"), 1.0).is_some(), "who gets on is not given up");
}

#[test]
fn running_out_of_descriptors_is_waited_for_even_by_one_attempt() {
    let exhausted = |kind: Kind| {
        let number = rustix::io::Errno::MFILE.raw_os_error();
        Error::new(kind, "").caused_by(std::io::Error::from_raw_os_error(number))
    };
    let mut retry = Retry::new(&TransferOptions { max_attempts: 1, ..TransferOptions::default() });
    for error in [exhausted(Kind::Connect), exhausted(Kind::Io(std::io::ErrorKind::Other, None))] {
        assert_eq!(classify(&error), Class::Exhausted);
        assert!(retry.decide(&error, 0.5).is_some());
    }
    let full = Error::new(Kind::Io(std::io::ErrorKind::StorageFull, None), "");
    assert_eq!(classify(&full), Class::Fatal);
}

proptest::proptest! {
    #[test]
    fn whatever_goes_wrong_attempts_and_time_have_a_bound(
        failures in proptest::collection::vec((0_usize..10, 0.0_f64..1.0), 400),
        maximum in 1_u32..12,
    ) {
        let mut retry = Retry::new(&TransferOptions { max_attempts: maximum, ..TransferOptions::default() });
        let (mut paused, mut quick) = (Duration::ZERO, 0);
        for (which, chance) in failures {
            let error = match which {
                0 => answered(503, "SlowDown"),
                1 => answered_with(503, "SlowDown", ("retry-after", "9999")),
                2 => answered(500, "InternalError"),
                3 => answered(400, "ExpiredToken"),
                4 => answered(403, "RequestTimeTooSkewed"),
                5 => answered(400, "BadDigest"),
                6 => answered_with(301, "PermanentRedirect", ("x-amz-bucket-region", "r")),
                7 => Error::new(Kind::ReadTimeout, ""),
                8 => Error::new(Kind::ConnectionClosed, super::super::pool::CUT_WRITE),
                _ => Error::new(Kind::BodyCut, ""),
            };
            retry.begin();
            let Some(pause) = retry.decide(&error, chance) else { break };
            paused += pause;
            quick += u32::from(which != 0 && which != 1);
        }
        // Three kinds are mended once, damage is fetched twice.
        proptest::prop_assert!(quick <= maximum + 3 + CHECKSUM_REFETCHES, "{quick}");
        proptest::prop_assert!(paused <= THROTTLE_TIME + maximum * LONGEST_PAUSE, "{paused:?}");
    }
}

#[test]
fn one_attempt_is_one_attempt() {
    let mut retry = Retry::new(&TransferOptions { max_attempts: 1, ..TransferOptions::default() });
    assert_eq!(retry.decide(&answered(503, "SlowDown"), 0.5), None);
    assert_eq!(retry.decide(&Error::new(Kind::Connect, ""), 0.5), None);
}

#[test]
fn what_is_mended_once_is_tried_once() {
    let mut retry = Retry::new(&TransferOptions::default());
    for error in [answered(400, "ExpiredToken"), answered(403, "RequestTimeTooSkewed")] {
        assert_eq!(retry.decide(&error, 0.5), Some(Duration::ZERO));
        assert_eq!(retry.decide(&error, 0.5), None);
    }
}

#[test]
fn the_server_may_ask_for_a_longer_pause_but_not_for_ever() {
    for (header, expected) in
        [(("retry-after", "3"), 3_000), (("x-amz-retry-after", "1500"), 1_500), (("retry-after", "9999"), 20_000)]
    {
        let mut retry = Retry::new(&TransferOptions::default());
        let pause = retry.decide(&answered_with(503, "SlowDown", header), 0.0);
        assert_eq!(pause, Some(Duration::from_millis(expected)), "{header:?}");
    }
}

#[test]
fn after_two_cut_writes_the_answer_is_asked_for_first() {
    let mut retry = Retry::new(&TransferOptions::default());
    let cut = Error::new(Kind::ConnectionClosed, super::super::pool::CUT_WRITE);
    retry.decide(&cut, 0.5);
    assert!(!retry.expect_continue());
    retry.decide(&cut, 0.5);
    assert!(retry.expect_continue());
}
