use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{what} did not come about");
        thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_job_gives_its_result_and_threads_start_with_the_first() {
    let threads = DiskThreads::new(4);
    assert_eq!((threads.threads(), threads.depth()), (0, 0));
    assert_eq!(threads.run(|| 6 * 7).await.unwrap(), 42);
    assert_eq!(threads.threads(), 1);
}

#[tokio::test]
async fn a_panic_is_the_error_of_its_job_only() {
    let threads = DiskThreads::new(1);
    let (first, second) = (threads.run(|| assert_eq!(1, 2)), threads.run(thread::current));
    let error = first.await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Internal);
    assert!(error.message().contains("left: 1"), "{error}");
    threads.spawn(|| std::panic::resume_unwind(Box::new("quiet")));
    let before = second.await.unwrap().id();
    assert_eq!(threads.run(thread::current).await.unwrap().id(), before, "the thread lives on");
}

#[tokio::test]
async fn jobs_run_in_their_order_on_one_thread_while_none_blocks() {
    let threads = DiskThreads::new(1);
    let done = Arc::new(AtomicUsize::new(0));
    let jobs: Vec<_> = (0..1000)
        .map(|_| {
            let done = Arc::clone(&done);
            threads.run(move || done.fetch_add(1, Ordering::Relaxed))
        })
        .collect();
    for (index, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.await.unwrap(), index);
    }
    assert_eq!(threads.threads(), 1);
}

#[test]
fn stuck_jobs_bring_more_threads_up_to_the_limit() {
    let threads = DiskThreads::new(3);
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let begun = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    for _ in 0..6 {
        let (gate, begun, most) = (Arc::clone(&gate), Arc::clone(&begun), Arc::clone(&most));
        threads.spawn(move || {
            most.fetch_max(begun.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _ = gate.lock().unwrap().recv();
            begun.fetch_sub(1, Ordering::SeqCst);
        });
    }
    until("a third thread", || begun.load(Ordering::SeqCst) == 3);
    thread::sleep(WATCH * 2);
    assert_eq!((threads.threads(), threads.depth()), (3, 3));
    (0..6).for_each(|_| release.send(()).unwrap());
    until("the end", || begun.load(Ordering::SeqCst) == 0 && threads.depth() == 0);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[cfg(target_os = "linux")]
#[test]
fn sleeping_jobs_bring_more_threads_though_each_is_short() {
    let threads = DiskThreads::new(4);
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..400 {
        let done = Arc::clone(&done);
        threads.spawn(move || {
            thread::sleep(Duration::from_millis(1));
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    until("four threads", || threads.threads() == 4);
    until("the end", || done.load(Ordering::Relaxed) == 400);
}

#[test]
fn threads_end_with_their_owner_and_unbegun_jobs_say_so() {
    let threads = DiskThreads::new(1);
    let (release, gate) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    threads.spawn(move || {
        begun.send(()).unwrap();
        let _ = gate.recv();
    });
    let waiting = threads.run(|| ());
    has_begun.recv().unwrap();
    let shared = Arc::downgrade(&threads.shared);
    drop(threads);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(waiting).unwrap_err().is_cancelled());
    release.send(()).unwrap();
    until("the thread's end", || shared.strong_count() == 0);
}

#[test]
fn idle_threads_end_and_come_back() {
    let threads = DiskThreads::new(2);
    threads.spawn(|| thread::sleep(Duration::from_millis(30)));
    threads.spawn(|| ());
    until("all idle threads' end", || threads.threads() == 0);
    let (done, is_done) = mpsc::channel();
    threads.spawn(move || done.send(()).unwrap());
    is_done.recv_timeout(Duration::from_secs(5)).unwrap();
}

/// `cargo test --profile daily --lib disk::threads -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_a_job_costs() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (lanes, work) in [1, 8, 64].into_iter().flat_map(|lanes| [0, 20].map(|work| (lanes, work))) {
        let threads = DiskThreads::new(4);
        let begin = Instant::now();
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..lanes {
                let threads = Arc::clone(&threads);
                tasks.spawn(async move {
                    for _ in 0..64_000 / lanes {
                        let job = move || {
                            let begin = Instant::now();
                            while begin.elapsed() < Duration::from_micros(work) {}
                        };
                        threads.run(job).await.unwrap();
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
        });
        let each = begin.elapsed() / 64_000;
        println!("{lanes} lanes, {work} us of work: {each:?} a job, {} threads", threads.threads());
    }
}
