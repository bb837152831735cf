//! Every item is worked on once, by no more threads than were asked for, and who helps wakes and sleeps as it should.

use super::*;
use std::collections::HashSet;
use std::time::Duration;

fn threads(n: usize) -> Threads {
    Threads::new(NonZeroUsize::new(n).unwrap())
}

#[test]
fn every_item_is_worked_on_once() {
    for n in [1, 2, 3, 100_000] {
        let mut counts = vec![0; 1000];
        for_each(threads(n), counts.iter_mut(), |count| *count += 1);
        assert!(counts.iter().all(|&count| count == 1), "{n} threads");
    }
}

/// The names of the threads that 100 items are done by, each of which takes a while or longer.
fn at_work(pool: &Arc<Pool>, is_light: bool, a_while: Duration) -> HashSet<Option<String>> {
    let (names, count) = (Mutex::new(HashSet::new()), AtomicUsize::new(0));
    let helpers = pool.threads.current_num_threads();
    with_pool(Some(pool), helpers, is_light, 0..100, |_| {
        lock(&names).insert(std::thread::current().name().map(str::to_owned));
        count.fetch_add(1, Ordering::Relaxed);
        if !a_while.is_zero() {
            std::thread::sleep(a_while);
        }
    });
    assert_eq!(count.into_inner(), 100);
    names.into_inner().unwrap()
}

/// Waits until something holds.
fn within_20_s(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 20, "{what}");
    }
}

#[test]
fn nobody_is_woken_for_a_single_call_of_light_work() {
    // Any that were woken would come while it lasts.
    assert_eq!(at_work(&Pool::new(2).unwrap(), true, Duration::from_micros(300)).len(), 1);
}

#[test]
fn light_calls_that_follow_closely_on_each_other_are_helped() {
    let pool = Pool::new(1).unwrap();
    within_20_s("nobody helps", || at_work(&pool, true, Duration::ZERO).len() == 2);
}

/// How many are awake, and how many of them idle.
fn awake(pool: &Pool) -> (usize, usize) {
    let calls = lock(&pool.calls);
    (calls.awake, calls.idle)
}

#[test]
fn who_has_helped_sleeps_after_a_while_and_light_calls_wake_nobody_then() {
    let pool = Pool::new(3).unwrap();
    for _ in 0..3 {
        within_20_s("somebody does not help", || at_work(&pool, false, Duration::from_micros(300)).len() == 4);
        within_20_s("somebody stays awake", || awake(&pool) == (0, 0));
        std::thread::sleep(Duration::from_nanos(2 * CLOSE));
        assert_eq!(at_work(&pool, true, Duration::from_micros(300)).len(), 1);
    }
}

#[test]
fn only_as_many_are_woken_as_are_missing_of_the_idle() {
    let pool = Pool::new(3).unwrap();
    let nothing = || {};
    let help = Arc::new(Help::new(&nothing));
    lock(&help.state).ended = true;
    {
        // As if two were awake, one of which helps.
        let mut calls = lock(&pool.calls);
        (calls.awake, calls.idle) = (2, 1);
    }
    pool.ask(1, &help);
    assert_eq!(lock(&pool.calls).awake, 2);
    pool.ask(2, &help);
    within_20_s("the third does not come, or stays", || awake(&pool) == (2, 1) && lock(&pool.calls).waiting.is_empty());
    assert_eq!(pool.helpers_of_light(3), 1);
}

#[test]
fn no_more_threads_work_than_were_asked_for() {
    for n in [1, 2, 3] {
        let seen = Mutex::new(HashSet::new());
        let items = AtomicUsize::new(0);
        for_each(threads(n), 0..200, |_| {
            items.fetch_add(1, Ordering::Relaxed);
            lock(&seen).insert(std::thread::current().id());
            std::thread::yield_now();
        });
        assert_eq!(items.into_inner(), 200);
        assert!(lock(&seen).len() <= n, "{n} threads");
    }
}

/// The names of the threads that work on `n` items, each of which waits until as many threads work as there are items; fewer
/// where that takes 20 s.
fn at_once(n: usize) -> HashSet<Option<String>> {
    let names = Mutex::new(HashSet::new());
    for_each(threads(n), 0..n, |_| {
        lock(&names).insert(std::thread::current().name().map(str::to_owned));
        let start = std::time::Instant::now();
        while lock(&names).len() < n && start.elapsed().as_secs() < 20 {
            std::thread::yield_now();
        }
    });
    names.into_inner().unwrap()
}

#[test]
fn threads_work_at_the_same_time_in_a_pool_of_their_number() {
    for n in [2, 3, 2, 4] {
        let mut due: HashSet<_> = (0..n - 1).map(|i| Some(format!("optimized-{}-{i}", n - 1))).collect();
        due.insert(std::thread::current().name().map(str::to_owned));
        assert_eq!(at_once(n), due);
    }
}

#[test]
fn a_thread_that_is_busy_elsewhere_is_not_waited_for() {
    // No other test asks for as many threads.
    let pool = pool(6).unwrap();
    let (begun, ends) = (std::sync::Barrier::new(7), Mutex::new(false));
    std::thread::scope(|scope| {
        let (begun, ends, occupier) = (&begun, &ends, &pool);
        let occupied = scope.spawn(move || {
            occupier.threads.scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|_| {
                        begun.wait();
                        let start = std::time::Instant::now();
                        while !*lock(ends) {
                            assert!(start.elapsed().as_secs() < 20, "the call waits for threads that are busy");
                            std::thread::yield_now();
                        }
                    });
                }
            });
        });
        begun.wait();
        let mut counts = vec![0; 100];
        for _ in 0..1000 {
            for_each(threads(7), counts.iter_mut(), |count| *count += 1);
        }
        let left = {
            let calls = lock(&occupier.calls);
            (calls.waiting.len(), calls.awake)
        };
        *lock(ends) = true;
        assert_eq!(left, (0, 6));
        assert!(counts.iter().all(|&count| count == 1000));
        assert!(occupied.join().is_ok());
    });
}

#[test]
fn a_panic_reaches_the_caller_from_whichever_thread() {
    for on_helper in [false, true] {
        let caller = std::thread::current().id();
        let met = std::sync::Barrier::new(2);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            for_each(threads(2), 0..2, |_| {
                met.wait();
                if (std::thread::current().id() != caller) == on_helper {
                    resume_unwind(Box::new("as expected"));
                }
            });
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"as expected"));
    }
}

#[test]
fn who_comes_when_a_call_has_ended_does_nothing() {
    let count = AtomicUsize::new(0);
    let add = || {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let help = Arc::new(Help::new(&add));
    help.give();
    drop(End(&pool(1).unwrap(), &help));
    help.give();
    assert_eq!((count.load(Ordering::Relaxed), help.inside.load(Ordering::Relaxed)), (1, 0));
}

/// What calls borrow is gone when they return: whoever came later would find other numbers there.
#[test]
fn nobody_touches_what_a_call_has_borrowed_after_it() {
    std::thread::scope(|scope| {
        for caller in 1..=3_usize {
            scope.spawn(move || {
                for call in 0..3000 {
                    let (number, total) = (caller * 10_000 + call, AtomicUsize::new(0));
                    let items = [number; 5];
                    for_each(threads(2 + call % 3), items.iter(), |item| {
                        assert_eq!(*item, number);
                        total.fetch_add(*item, Ordering::Relaxed);
                    });
                    assert_eq!(total.into_inner(), 5 * number);
                }
            });
        }
    });
}

#[test]
fn thousands_of_threads_are_never_started() {
    assert_eq!((threads(5).get(), threads(5).at_work()), (5, 5));
    assert_eq!(threads(100_000).get(), 100_000);
    assert_eq!(threads(100_000).at_work(), available_parallelism().map_or(16, |n| n.get().max(16)));
}

#[test]
fn callers_may_be_many() {
    let total = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for_each(threads(2), 0..100, |_| {
                    total.fetch_add(1, Ordering::Relaxed);
                })
            });
        }
    });
    assert_eq!(total.into_inner(), 400);
}
