//! Lanes are neither lost nor invented, in whatever order things happen: the window is polled by hand in generated orders,
//! and used by real threads. `tests/loom` goes through every order of a few steps.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

fn set_limit(window: &Window, new: usize) {
    let mut decisions = window.0.decisions.lock().unwrap();
    let old = std::mem::replace(&mut decisions.controller.limit, new);
    window.0.lanes.resize(old, new);
}

/// No decision of its own comes between those of a test.
fn undisturbed(ceiling: usize) -> Window {
    let window = Window::new(ceiling);
    window.0.due.store(u64::MAX, Relaxed);
    window
}

#[derive(Clone, Debug)]
enum Step {
    /// Somebody wants a lane.
    Want,
    /// One who waits looks whether there is one.
    Look(usize),
    /// One who waits goes away.
    GiveUp(usize),
    /// A lane comes free.
    Leave(usize),
    Resize(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Want),
        3 => any::<usize>().prop_map(Step::Look),
        1 => any::<usize>().prop_map(Step::GiveUp),
        3 => any::<usize>().prop_map(Step::Leave),
        1 => (1_usize..12).prop_map(Step::Resize),
    ]
}

proptest! {
    #[test]
    fn lanes_are_neither_lost_nor_invented_however_they_are_waited_for(steps in prop::collection::vec(step(), 0..200)) {
        let window = undisturbed(8);
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting: Vec<Pin<Box<dyn Future<Output = Lane> + '_>>> = vec![];
        let mut lanes: Vec<Lane> = vec![];
        for step in steps {
            match step {
                Step::Want => waiting.push(Box::pin(window.enter())),
                Step::Look(which) if !waiting.is_empty() => {
                    let which = which % waiting.len();
                    if let Poll::Ready(lane) = waiting[which].as_mut().poll(&mut context) {
                        lanes.push(lane);
                        drop(waiting.swap_remove(which));
                    }
                }
                Step::GiveUp(which) if !waiting.is_empty() => drop(waiting.swap_remove(which % waiting.len())),
                Step::Leave(which) if !lanes.is_empty() => drop(lanes.swap_remove(which % lanes.len())),
                Step::Resize(limit) => set_limit(&window, limit),
                Step::Look(_) | Step::GiveUp(_) | Step::Leave(_) => {}
            }
            // More than what is out can only be what is on its way to one who waits.
            prop_assert!(window.in_use() >= lanes.len());
            prop_assert!(window.in_use() <= lanes.len() + waiting.len());
        }
        waiting.clear();
        prop_assert_eq!(window.in_use(), lanes.len());
        lanes.clear();
        prop_assert_eq!(window.in_use(), 0);
        // Debt is paid by whoever comes and goes; then the limit is what can be had.
        for _ in 0..64 {
            let lane = std::pin::pin!(window.enter()).poll(&mut context);
            prop_assert!(lane.is_ready());
        }
        prop_assert_eq!(window.0.lanes.debt(), 0);
        prop_assert_eq!(window.0.lanes.free(), window.limit());
    }
}

#[test]
fn threads_that_come_and_go_while_the_window_changes_leave_it_whole() {
    let window = undisturbed(16);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let window = window.clone();
            all.spawn(async move {
                for round in 0..200 {
                    let lane = window.enter().await;
                    if round % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                    drop(lane);
                }
            });
        }
        for round in 0..500_usize {
            set_limit(&window, 1 + (round * 7) % 40);
            tokio::task::yield_now().await;
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
    });
    assert_eq!(window.in_use(), 0);
    assert_eq!(window.0.lanes.free(), window.limit() + window.0.lanes.debt());
}
