//! Whatever the order of the steps of several threads: no lane and no byte is lost or invented, and nobody waits for ever.
//! Loom calls it a deadlock when all threads wait, which fails the test.
#![cfg(loom)]

use std::sync::Arc;

use loom::future::block_on;
use loom::thread::{JoinHandle, spawn};
use s3bulk_loom::{Budget, Cancel, Lanes};

const KIB: u64 = 1 << 10;

/// After everybody has left there are as many lanes as the limit says, once the debt is paid.
fn assert_whole(lanes: &Lanes, limit: usize) {
    assert_eq!(lanes.free().checked_sub(lanes.debt()), Some(limit));
}

fn comes_and_leaves(lanes: &Arc<Lanes>) -> JoinHandle<()> {
    let lanes = lanes.clone();
    spawn(move || {
        let lane = block_on(lanes.enter());
        lanes.leave(lane);
    })
}

#[test]
fn one_who_waits_gets_the_lane_of_one_who_leaves() {
    loom::model(|| {
        let lanes = Arc::new(Lanes::new(1));
        let leaving = lanes.try_enter().unwrap();
        let other = comes_and_leaves(&lanes);
        lanes.leave(leaving);
        let lane = block_on(lanes.enter());
        lanes.leave(lane);
        other.join().unwrap();
        assert_whole(&lanes, 1);
    });
}

#[test]
fn lanes_come_and_go_while_the_limit_shrinks_and_grows() {
    for (old, between, new) in [(3, 1, 2), (3, 2, 3), (2, 3, 1)] {
        loom::model(move || {
            let lanes = Arc::new(Lanes::new(old));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let lane = lanes.try_enter().unwrap();
                    let lanes = lanes.clone();
                    spawn(move || lanes.leave(lane))
                })
                .collect();
            lanes.resize(old, between);
            lanes.resize(between, new);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_whole(&lanes, new);
        });
    }
}

#[test]
fn a_limit_that_grows_lets_one_who_waits_in() {
    loom::model(|| {
        let lanes = Arc::new(Lanes::new(1));
        let held = lanes.try_enter().unwrap();
        let growing = {
            let lanes = lanes.clone();
            spawn(move || {
                lanes.resize(1, 2);
                lanes.resize(2, 1);
            })
        };
        let lane = block_on(lanes.enter());
        growing.join().unwrap();
        lanes.leave(lane);
        lanes.leave(held);
        assert_whole(&lanes, 1);
    });
}

#[test]
fn one_who_comes_while_the_limit_shrinks_gets_a_lane_and_leaves_it_whole() {
    loom::model(|| {
        let lanes = Arc::new(Lanes::new(2));
        let held = lanes.try_enter().unwrap();
        let coming = comes_and_leaves(&lanes);
        let leaving = {
            let lanes = lanes.clone();
            spawn(move || lanes.leave(held))
        };
        lanes.resize(2, 1);
        coming.join().unwrap();
        leaving.join().unwrap();
        assert_whole(&lanes, 1);
    });
}

/// As transfers wait for everything.
async fn until_cancelled<T>(cancel: &Cancel, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => None,
        done = work => Some(done),
    }
}

#[test]
fn a_cancel_ends_the_wait_for_a_lane_and_loses_none() {
    loom::model(|| {
        let (lanes, cancel) = (Arc::new(Lanes::new(1)), Cancel::new());
        let held = lanes.try_enter().unwrap();
        let waiting = {
            let (lanes, cancel) = (lanes.clone(), cancel.child_token());
            spawn(move || {
                if let Some(lane) = block_on(until_cancelled(&cancel, lanes.enter())) {
                    lanes.leave(lane);
                }
            })
        };
        let leaving = {
            let lanes = lanes.clone();
            spawn(move || lanes.leave(held))
        };
        cancel.cancel();
        waiting.join().unwrap();
        leaving.join().unwrap();
        assert_whole(&lanes, 1);
    });
}

/// Nobody leaves: only the cancel ends the wait.
#[test]
fn a_cancel_alone_ends_the_wait() {
    loom::model(|| {
        let (lanes, budget, cancel) = (Arc::new(Lanes::new(1)), Budget::new(KIB), Cancel::new());
        let (held, all) = (lanes.try_enter().unwrap(), budget.try_reserve(KIB).unwrap());
        let for_a_lane = {
            let (lanes, cancel) = (lanes.clone(), cancel.child_token());
            spawn(move || assert!(block_on(until_cancelled(&cancel, lanes.enter())).is_none()))
        };
        let for_bytes = {
            let (budget, cancel) = (budget.clone(), cancel.child_token());
            spawn(move || assert!(block_on(until_cancelled(&cancel, budget.reserve(1))).is_none()))
        };
        cancel.cancel();
        for_a_lane.join().unwrap();
        for_bytes.join().unwrap();
        lanes.leave(held);
        drop(all);
        assert_whole(&lanes, 1);
        assert_eq!(budget.in_use(), 0);
    });
}

/// The one who waits may have been given some of the bytes already, or all of them.
#[test]
fn bytes_of_one_who_gives_up_go_to_the_next() {
    loom::model(|| {
        let (budget, cancel) = (Budget::new(2 * KIB), Cancel::new());
        let first = budget.try_reserve(KIB).unwrap();
        let second = budget.try_reserve(KIB).unwrap();
        let giving_up = {
            let (budget, cancel) = (budget.clone(), cancel.child_token());
            spawn(move || drop(block_on(until_cancelled(&cancel, budget.reserve(2 * KIB)))))
        };
        let leaving = spawn(move || drop(first));
        cancel.cancel();
        drop(second);
        drop(block_on(budget.reserve(2 * KIB)));
        giving_up.join().unwrap();
        leaving.join().unwrap();
        assert_eq!(budget.in_use(), 0);
    });
}

#[test]
fn bytes_that_come_back_go_to_those_who_wait() {
    loom::model(|| {
        let budget = Budget::new(2 * KIB);
        let held = budget.try_reserve(2 * KIB).unwrap();
        let threads: Vec<_> = [KIB, 2 * KIB]
            .into_iter()
            .map(|bytes| {
                let budget = budget.clone();
                spawn(move || {
                    let reserved = block_on(budget.reserve(bytes));
                    assert!(budget.in_use() >= bytes && budget.in_use() <= 2 * KIB);
                    drop(reserved);
                })
            })
            .collect();
        drop(held);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(budget.in_use(), 0);
    });
}

/// A spare reservation takes two things, one after the other: it has both or neither.
#[test]
fn spare_bytes_come_back_whoever_was_quicker() {
    loom::model(|| {
        let budget = Budget::new(8 << 20);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let budget = budget.clone();
                spawn(move || drop(budget.try_reserve_spare(3 << 20)))
            })
            .collect();
        let rest = budget.try_reserve(4 << 20);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(rest);
        assert_eq!(budget.in_use(), 0);
        assert!(budget.try_reserve_spare(5 << 20).is_some());
    });
}
