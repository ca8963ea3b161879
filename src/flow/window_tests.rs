//! The decisions of the window in tables, and its lanes.

use super::*;

fn sample(goodput: f64) -> Sample {
    Sample { goodput, throttled: false, saturated: true, stretch: None, round_trip: Duration::ZERO }
}

#[test]
fn the_window_doubles_while_that_pays_and_takes_the_last_step_back() {
    let mut controller = Controller::new(512);
    let limits: Vec<usize> =
        [100.0, 200.0, 210.0, 210.0, 190.0].map(|goodput| controller.decide(sample(goodput))).to_vec();
    assert_eq!(limits, [16, 32, 16, 16, 16]);
}

#[test]
fn the_ceiling_holds() {
    let mut controller = Controller::new(12);
    assert_eq!(controller.decide(sample(1.0)), 12);
    assert_eq!(controller.decide(sample(9.0)), 12);
    assert_eq!(Controller::new(2).limit, 2);
}

#[test]
fn throttling_takes_a_quarter_and_growth_is_cautious_after_it() {
    let mut controller = Controller::new(512);
    let throttled = Sample { throttled: true, ..sample(5.0) };
    controller.limit = 64;
    assert_eq!(controller.decide(throttled), 48);
    assert_eq!(controller.decide(throttled), 36);
    // Back to where it began, whatever each step brings.
    let regrown: Vec<usize> = (0..6).map(|_| controller.decide(sample(1.0))).collect();
    assert_eq!(regrown, [40, 45, 50, 56, 63, 70]);
    assert_eq!(controller.decide(sample(1.0)), 78);
    assert_eq!(controller.decide(sample(1.0)), 70, "beyond, a step has to pay");
    for _ in 0..15 {
        controller.decide(throttled);
    }
    assert_eq!(controller.limit, FLOOR);
}

#[test]
fn a_window_that_is_not_full_stays() {
    let mut controller = Controller::new(512);
    let idle = Sample { saturated: false, ..sample(1e9) };
    assert_eq!(controller.decide(idle), START);
}

/// A server with a round trip time and a limit on requests per second, on a clock of its own.
fn simulate(round_trip: f64, rate: f64, ceiling: usize) -> Vec<usize> {
    let mut controller = Controller::new(ceiling);
    (0..3 * PATIENCE)
        .map(|_| {
            let goodput = (controller.limit as f64 / round_trip).min(rate);
            let latency = controller.limit as f64 / goodput;
            let microseconds = |seconds: f64| (seconds * 1e6) as u64;
            let stretch = stretch(microseconds(round_trip), microseconds(latency));
            controller.decide(Sample { stretch, round_trip: Duration::from_secs_f64(round_trip), ..sample(goodput) })
        })
        .collect()
}

#[test]
fn it_converges_without_oscillation() {
    for (round_trip, rate, expected) in [
        (0.020, 1e9, 512),
        (0.020, 3_500.0, 105),
        (0.000_2, 40_000.0, 8),
        (0.000_5, 100_000.0, 64),
        (0.100, 2_000.0, 256),
    ] {
        let limits = simulate(round_trip, rate, 512);
        assert!(limits[8..60].iter().all(|limit| *limit == expected), "{round_trip} {rate}: {limits:?}");
        // Now and then a wider one is tried for an interval, and never a narrower one.
        let others: Vec<_> = limits[60..].iter().filter(|limit| **limit != expected).collect();
        assert!(others.len() <= 3 && others.iter().all(|limit| **limit > expected), "{others:?}");
    }
}

#[test]
fn the_window_opens_in_two_steps_to_a_service_far_away_unless_there_is_a_queue() {
    let mut controller = Controller::new(512);
    let far = |goodput, stretch| Sample { stretch: Some(stretch), round_trip: FAR, ..sample(goodput) };
    assert_eq!([far(100.0, 1.0), far(400.0, 1.4)].map(|sample| controller.decide(sample)), [256, 512]);
    let mut controller = Controller::new(512);
    assert_eq!([far(100.0, 2.0), far(200.0, 3.0)].map(|sample| controller.decide(sample)), [16, 16]);
}

#[tokio::test]
async fn answers_that_take_now_shorter_and_now_longer_are_no_queue() {
    let window = Window::new(512);
    let sample = || window.0.sample(1.0, SHORTEST_INTERVAL);
    for _ in 0..2 {
        for milliseconds in [200, 100, 150, 12, 90] {
            window.answered(Duration::from_millis(milliseconds));
        }
        let sample = sample();
        assert!(sample.stretch.unwrap() < UNQUEUED, "{sample:?}");
        assert!((FAR..Duration::from_millis(20)).contains(&sample.round_trip), "{sample:?}");
    }
    window.answered(Duration::from_millis(60));
    assert!(sample().stretch.unwrap() > QUEUED);
    assert_eq!(sample().stretch, None);
}

#[test]
fn the_quickest_answer_is_forgotten_when_none_is_as_quick_any_more() {
    for (ever, lately, elapsed, expected) in [
        (20_000, 20_000, 1, 20_000),
        (20_000, 10_000, 1, 20_000),
        (20_000, u64::MAX, 60, 20_000),
        (20_000, 50_000, 0, 20_000),
        (20_000, 50_000, 3, 23_000),
        (20_000, 50_000, 30, 50_000),
        (20_000, 50_000, 300, 50_000),
    ] {
        assert_eq!(remembered(ever, lately, Duration::from_secs(elapsed)), expected, "{ever} {lately} {elapsed}");
    }
}

#[test]
fn a_queue_that_was_none_gives_the_lanes_back() {
    let far = |goodput, stretch| Sample { stretch: Some(stretch), round_trip: FAR, ..sample(goodput) };
    for (after, expected) in [(90.0, [72, 72, 72]), (86.0, [240, 240, 240])] {
        let mut controller = Controller::new(512);
        controller.limit = 240;
        let narrow = 72;
        assert_eq!(controller.decide(far(100.0, 5.0)), narrow);
        let limits = [after, 100.0, 100.0].map(|goodput| controller.decide(far(goodput, 5.0)));
        assert_eq!(limits, expected, "{after}");
    }
}

#[tokio::test]
async fn lanes_come_back() {
    let window = Window::new(2);
    let one = window.enter().await;
    let two = window.enter().await;
    assert_eq!(window.in_use(), 2);
    drop(one);
    let three = window.enter().await;
    drop((two, three));
    assert_eq!(window.in_use(), 0);
}

#[test]
fn near_by_a_slow_disk_is_no_queue_and_goodput_decides() {
    // One answer came from memory after 0.5 ms; the others take 8 ms each, however many are asked for at a time.
    let mut controller = Controller::new(512);
    let limits: Vec<usize> = (0..12)
        .map(|_| {
            let goodput = (controller.limit as f64 / 0.008).min(8_000.0);
            controller.decide(Sample { stretch: stretch(500, 8_000), ..sample(goodput) })
        })
        .collect();
    assert_eq!(limits.last(), Some(&64), "{limits:?}");
}
