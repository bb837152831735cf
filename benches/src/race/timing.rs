//! Ours and the peer's in turn, until the median of the ratios is known.
//!
//! A round is a turn of ours and one of each peer, and gives a ratio; what disturbs the machine for longer than a round slows
//! both. Where ours has a form that writes into the results of an earlier call, that takes a turn right after it, and counts in no
//! ratio. The median of the ratios is known to the interval between two of them: that between the k-th smallest and the k-th
//! largest holds the true median at least 95 times in 100, for the largest k with P(Bin(n, ½) < k) ≤ 2.5 %, whatever the ratios'
//! distribution.

use super::Failure;
use super::contender::{Contender, Direction, Turn};
use std::time::{Duration, Instant};

/// What a turn is to take: long beside the clock's resolution and the first calls' caches, short beside what disturbs a machine.
const TURN: Duration = Duration::from_millis(20);

/// A call that takes so long needs no other before it: what is in no cache costs it little.
const LONG_CALL: Duration = Duration::from_millis(100);

/// What passes between turns on several threads: idle threads of OpenMP keep a core busy for some milliseconds.
const REST: Duration = Duration::from_millis(8);

/// The fewest rounds whose extremes are an interval of 95 %.
const FEWEST_ROUNDS: usize = 6;

/// The most rounds: with as many, disturbances are no chance any more.
const MOST_ROUNDS: usize = 400;

/// The chance that is left to the true median's lying beyond one end of the interval.
const TAIL: f64 = 0.025;

/// When a race is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Half of the interval, as a share of the median, that is small enough.
    pub precision: f64,
    /// What a cell may take; it takes as many rounds as an interval needs in any case, and one where a round takes so long.
    pub time: Duration,
}

/// A median and the interval that it is known to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Median {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// Whether there were enough numbers for 95 %; otherwise the interval is all of them.
    pub known: bool,
}

/// What a race of one layer came to.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// Which of the peers was the fastest.
    pub peer: usize,
    /// The medians of a call's seconds.
    pub ours_seconds: f64,
    pub peer_seconds: f64,
    /// Ours again, where it writes into what an earlier call gave; none where it has no such form.
    pub into_seconds: Option<f64>,
    /// The peer's time over ours.
    pub ratio: Median,
    pub rounds: usize,
}

/// The middle of some numbers; there must be one.
pub(super) fn middle(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// The median of some numbers, and its interval by order statistics; there must be one.
pub(super) fn median(numbers: &[f64]) -> Median {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    // P(Bin(n, ½) = i), from i = 0 on, summed up as long as the tail allows.
    let (mut each, mut below, mut k) = (0.5_f64.powi(n as i32), 0.0, 0);
    while below + each <= TAIL && 2 * k < n {
        below += each;
        each *= (n - k) as f64 / (k + 1) as f64;
        k += 1;
    }
    let outermost = k.saturating_sub(1);
    Median { median: middle(numbers), low: sorted[outermost], high: sorted[n - 1 - outermost], known: k > 0 }
}

impl Median {
    /// Half of the interval, as a share of the median.
    pub(super) fn uncertainty(&self) -> f64 {
        (self.high - self.low) / (2.0 * self.median)
    }
}

/// How many calls fill a turn, and whether a call goes ahead.
fn paced(contender: &mut dyn Contender, direction: Direction, into: bool) -> Result<Turn, Failure> {
    let mut turn = Turn { direction, calls: 1, warm: true, into };
    loop {
        let time = contender.time(turn)?;
        let call = time.as_secs_f64() / turn.calls as f64;
        // A first guess of a short call is refined until it is a good part of a turn.
        if time >= TURN / 8 {
            let calls = (TURN.as_secs_f64() / call).round().max(1.0);
            return Ok(Turn { calls: calls as usize, warm: call < LONG_CALL.as_secs_f64(), ..turn });
        }
        turn.calls = turn.calls.saturating_mul(4);
    }
}

/// Races a direction of a layer on so many threads, which the contenders have been told of.
pub(super) fn race(
    ours: &mut dyn Contender,
    peers: &mut [Box<dyn Contender + '_>],
    (direction, threads): (Direction, usize),
    limit: Limit,
) -> Result<Outcome, Failure> {
    let rest = if threads > 1 { REST } else { Duration::ZERO };
    let turn = |contender: &mut dyn Contender, turn: Turn| {
        std::thread::sleep(rest);
        contender.time(turn).map(|time| time.as_secs_f64() / turn.calls as f64)
    };
    let our_turn = paced(ours, direction, false)?;
    let into_turn = ours.writes_into(direction).then(|| paced(ours, direction, true)).transpose()?;
    let turns = peers.iter_mut().map(|peer| paced(peer.as_mut(), direction, false)).collect::<Result<Vec<_>, _>>()?;
    let (mut our_times, mut into_times) = (Vec::new(), Vec::new());
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); peers.len()];
    let mut ratios = times.clone();
    let mut in_race: Vec<usize> = (0..peers.len()).collect();
    let start = Instant::now();
    loop {
        let our_time = turn(ours, our_turn)?;
        our_times.push(our_time);
        if let Some(into_turn) = into_turn {
            into_times.push(turn(ours, into_turn)?);
        }
        for &peer in &in_race {
            let time = turn(peers[peer].as_mut(), turns[peer])?;
            times[peer].push(time);
            ratios[peer].push(time / our_time);
        }
        let rounds = our_times.len();
        let ratio = |peer: usize| median(&ratios[peer]);
        let Some(&fastest) = in_race.iter().min_by(|&&a, &&b| ratio(a).median.total_cmp(&ratio(b).median)) else {
            return Err(Failure::new("there is no peer"));
        };
        let found = ratio(fastest);
        let known = found.known && found.uncertainty() <= limit.precision;
        let late = start.elapsed() >= limit.time && (rounds >= FEWEST_ROUNDS || start.elapsed() >= 4 * limit.time);
        if known || late || rounds >= MOST_ROUNDS {
            return Ok(Outcome {
                peer: fastest,
                ours_seconds: middle(&our_times),
                peer_seconds: middle(&times[fastest]),
                into_seconds: into_turn.map(|_| middle(&into_times)),
                ratio: found,
                rounds,
            });
        }
        // A peer that is slower for certain is out of the race.
        in_race.retain(|&peer| !(found.known && ratio(peer).low > found.high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::StateDict;

    #[test]
    fn the_interval_is_that_of_the_tables() {
        // n, and the rank of the lower end of the interval of 95 % in tables of the sign test.
        for (n, rank) in
            [(6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (20, 6), (25, 8), (50, 18), (100, 40), (400, 180)]
        {
            let numbers: Vec<f64> = (1..=n).rev().map(f64::from).collect();
            let found = median(&numbers);
            assert_eq!((found.low, found.high), (f64::from(rank), f64::from(n + 1 - rank)), "n = {n}");
            assert!(found.known && found.median == f64::from(n + 1) / 2.0);
        }
    }

    #[test]
    fn of_few_numbers_the_interval_is_all_and_not_known() {
        for n in 1..6 {
            let numbers: Vec<f64> = (1..=n).map(f64::from).collect();
            let found = median(&numbers);
            assert_eq!((found.low, found.high, found.known), (1.0, f64::from(n), false));
        }
        assert_eq!(median(&[3.0, 1.0]).median, 2.0);
    }

    #[test]
    fn uncertainty_is_half_of_the_interval() {
        let median = Median { median: 2.0, low: 1.9, high: 2.1, known: true };
        assert!((median.uncertainty() - 0.05).abs() < 1e-12);
    }

    /// Something that claims to take so many seconds for a call, and half of it where it writes into what is there.
    struct Claims(f64);

    impl Contender for Claims {
        fn set_threads(&mut self, _: usize) -> Result<(), Failure> {
            Ok(())
        }
        fn compute(&mut self) -> Result<StateDict, Failure> {
            Ok(StateDict::new())
        }
        fn time(&mut self, turn: Turn) -> Result<Duration, Failure> {
            let call = if turn.into { 0.5 * self.0 } else { self.0 };
            Ok(Duration::from_secs_f64(call * turn.calls as f64))
        }
        fn writes_into(&self, direction: Direction) -> bool {
            direction == Direction::Backward
        }
    }

    #[test]
    fn the_fastest_peer_counts() {
        let limit = Limit { precision: 0.05, time: Duration::from_secs(1) };
        let mut peers: Vec<Box<dyn Contender>> = vec![Box::new(Claims(4e-3)), Box::new(Claims(3e-3))];
        let outcome = race(&mut Claims(1e-3), &mut peers, (Direction::Inference, 1), limit).unwrap();
        assert_eq!((outcome.peer, outcome.rounds), (1, FEWEST_ROUNDS));
        assert!((outcome.ratio.median - 3.0).abs() < 1e-6 && (outcome.ours_seconds - 1e-3).abs() < 1e-9);
    }

    #[test]
    fn what_writes_into_is_timed_beside_and_changes_no_ratio() {
        let limit = Limit { precision: 0.05, time: Duration::from_secs(1) };
        let of = |direction| {
            let mut peers: Vec<Box<dyn Contender>> = vec![Box::new(Claims(3e-3))];
            race(&mut Claims(1e-3), &mut peers, (direction, 1), limit).unwrap()
        };
        let (forward, backward) = (of(Direction::Forward), of(Direction::Backward));
        assert!(forward.into_seconds.is_none());
        assert!(backward.into_seconds.is_some_and(|seconds| (seconds - 0.5e-3).abs() < 1e-9));
        assert!((forward.ratio.median - backward.ratio.median).abs() < 1e-6);
    }

    #[test]
    fn turns_are_filled_with_calls() {
        assert_eq!(paced(&mut Claims(1e-3), Direction::Forward, false).unwrap().calls, 20);
        let long = paced(&mut Claims(0.2), Direction::Forward, false).unwrap();
        assert_eq!((long.calls, long.warm), (1, false));
        assert_eq!(paced(&mut Claims(1e-6), Direction::Forward, false).unwrap().calls, 20_000);
    }
}
