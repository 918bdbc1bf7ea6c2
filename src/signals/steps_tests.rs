use proptest::prelude::*;

use super::*;

const PACE: Pace = Pace { step_ms: 60_000, watermark_ms: 120_000, parts: None };

/// The steps that come of samples `(part, timestamp, value)`, each as its timestamp and its values by role.
fn closed_by(steps: &mut Steps, samples: &[(u32, i64, f64)]) -> Vec<(i64, Vec<f64>)> {
    let mut closed = Vec::new();
    for &(part, timestamp_ms, value) in samples {
        steps.put(part, timestamp_ms, value, &mut |step| {
            closed.push((step.timestamp_ms, step.values().map(|(.., value)| value).collect()));
        });
    }
    closed
}

/// A group of `parts` of the role 0, with fingerprints in the order of their indexes.
fn group(pace: Pace, parts: u32) -> Steps {
    let mut steps = Steps::new(pace);
    (0..parts).for_each(|part| assert_eq!(steps.join(u64::from(part), 0), part));
    steps
}

/// A sample of each of `parts` in each of `minutes`; the value tells both.
fn minutes(parts: u32, minutes: std::ops::Range<i64>) -> Vec<(u32, i64, f64)> {
    let at = |minute, part| {
        (part, minute * 60_000 + i64::from(part) * 1_000, (minute * 10) as f64 + f64::from(part))
    };
    minutes.flat_map(|minute| (0..parts).map(move |part| at(minute, part))).collect()
}

#[test]
fn a_step_closes_with_its_last_part_once_all_are_known_for_longer_than_the_watermark() {
    let mut steps = group(PACE, 2);
    let closed = closed_by(&mut steps, &minutes(2, 0..5));
    // The first steps count nobody, since nobody had been known.
    let counted: Vec<_> = closed.iter().filter(|(_, values)| !values.is_empty()).collect();
    assert_eq!(counted, [&(181_000, vec![30.0, 31.0]), &(241_000, vec![40.0, 41.0])]);
}

#[test]
fn parts_that_are_known_beforehand_wait_for_nothing() {
    let mut steps = group(Pace { step_ms: 0, parts: Some(2), ..PACE }, 2);
    let closed = closed_by(&mut steps, &[(0, 5, 1.0), (1, 5, 2.0), (1, 9, 4.0), (0, 9, 3.0)]);
    assert_eq!(closed, [(5, vec![1.0, 2.0]), (9, vec![3.0, 4.0])]);
}

#[test]
fn a_part_that_goes_on_is_not_waited_for_and_one_that_ends_neither() {
    let mut steps = group(PACE, 3);
    closed_by(&mut steps, &minutes(3, 0..5));
    let closed = closed_by(&mut steps, &[(0, 300_000, 1.0), (1, 300_000, 2.0), (2, 360_000, 3.0)]);
    assert_eq!(closed, [(300_000, vec![1.0, 2.0])], "the third has skipped the step");
    let mut closed = Vec::new();
    closed_by(&mut steps, &[(0, 360_000, 4.0)]);
    steps.end(1, 360_000, &mut |step| closed.push(step.values().count()));
    assert_eq!((closed, steps.present()), (vec![2], 2));
}

#[test]
fn a_silent_part_holds_a_step_up_for_no_longer_than_the_watermark() {
    let mut steps = group(PACE, 2);
    closed_by(&mut steps, &minutes(2, 0..5));
    let closed: Vec<_> = (5..14)
        .map(|minute| {
            let closed = closed_by(&mut steps, &[(0, minute * 60_000, minute as f64)]);
            closed.into_iter().map(|(_, values)| values[0]).collect::<Vec<_>>()
        })
        .collect();
    // Each step is behind by the watermark until the other part has been away for so long that it is new again.
    let late: [&[f64]; 9] =
        [&[], &[], &[], &[5.0], &[6.0], &[7.0], &[8.0], &[9.0], &[10.0, 11.0, 12.0, 13.0]];
    assert_eq!(closed, late);
}

#[test]
fn a_sample_of_a_closed_step_is_late_and_a_second_one_of_a_step_passes() {
    let mut steps = group(PACE, 2);
    closed_by(&mut steps, &minutes(2, 0..5));
    closed_by(&mut steps, &minutes(1, 5..9));
    let put = |steps: &mut Steps, part, at_ms| steps.put(part, at_ms, 1.0, &mut |_| {});
    assert_eq!(put(&mut steps, 0, 8 * 60_000 + 500), Put::Passed);
    assert_eq!(put(&mut steps, 1, 5 * 60_000), Put::Late);
}

#[test]
fn however_many_steps_are_open_their_number_is_bounded() {
    let mut steps = group(Pace { step_ms: 0, watermark_ms: i64::MAX / 4, parts: None }, 1);
    closed_by(&mut steps, &(0..10_000).map(|at_ms| (0, at_ms, 1.0)).collect::<Vec<_>>());
    assert!(steps.open.len() <= MAX_OPEN);
}

#[test]
fn the_place_of_a_part_that_left_is_given_to_another_and_its_values_are_not() {
    let mut steps = group(PACE, 2);
    closed_by(&mut steps, &minutes(2, 0..5));
    steps.end(1, 290_000, &mut |_| {});
    steps.leave(1, &mut |_| {});
    assert_eq!((steps.members(), steps.join(7, 0)), (1, 1));
    let closed = closed_by(&mut steps, &[(1, 300_000, 9.0), (0, 300_000, 1.0)]);
    assert_eq!(closed, [(300_000, vec![1.0])], "it has yet to be known for long enough");
}

#[test]
fn a_part_whose_clock_is_ahead_makes_nobody_else_late() {
    let mut steps = group(PACE, 3);
    let ahead =
        |sample: (u32, i64, f64)| if sample.0 == 2 { (2, sample.1 + 7_200_000, sample.2) } else { sample };
    let mut counted = 0;
    for (part, at_ms, value) in minutes(3, 0..400).into_iter().map(ahead) {
        let put = steps.put(part, at_ms, value, &mut |step| {
            let roles: Vec<_> = step.values().map(|(_, part, _)| part).collect();
            // Behind the two hours for which nobody else was there, nobody is left out.
            if step.at_ms > 10 * 60_000 {
                assert_eq!(&roles[..2], [0, 1], "{}", step.at_ms);
                counted += 1;
            }
        });
        assert!(put != Put::Late || part == 2, "{part} {at_ms}");
        assert!(steps.open.len() <= MAX_OPEN);
    }
    assert_eq!(counted, 389);
}

/// What a part does in a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Minute {
    Shows,
    Misses,
    Ends,
    /// Ends, is forgotten, and joins anew with the next sample.
    Leaves,
}

/// Parts that come, late perhaps, miss some minutes, end, leave and come back, each with a delay of its own.
fn lives() -> impl Strategy<Value = Vec<Vec<Minute>>> {
    use Minute::{Ends, Leaves, Misses, Shows};
    let minute = prop_oneof![40 => Just(Shows), 5 => Just(Misses), 1 => Just(Ends), 1 => Just(Leaves)];
    let life = (0..15_usize, prop::collection::vec(minute, 60)).prop_map(|(late, mut life)| {
        life[..late.saturating_sub(7)].fill(Misses);
        life
    });
    prop::collection::vec(life, 2..7)
}

proptest! {
    #[test]
    fn any_interleaving_within_the_watermark_gives_the_same_bits(
        lives in lives(),
        delays in prop::collection::vec(0..120_i64, 7),
        step in prop::sample::select(vec![0, 60_000]),
    ) {
        let pace = Pace { step_ms: step, ..PACE };
        let events: Vec<(usize, i64, Minute)> = lives.iter().enumerate().flat_map(|(part, life)| {
            // In steps of the clock each part has its own second.
            let second = if step == 0 { 0 } else { part as i64 * 1_000 };
            life.iter().enumerate().map(move |(minute, what)| (part, minute as i64 * 60_000 + second, *what))
        }).collect();
        // In order of arrival: each part is late by its own delay.
        let arrive = |delays: &[i64]| {
            let mut order = events.clone();
            order.sort_by_key(|(part, at_ms, _)| (at_ms + delays[*part] * 1_000, *part));
            let mut steps = Steps::new(pace);
            let mut places = vec![None; lives.len()];
            let mut closed = Vec::new();
            let mut close = |step: &Closed<'_>| {
                let values: Vec<_> = step.values().map(|(.., value)| value).collect();
                if !values.is_empty() {
                    closed.push((step.timestamp_ms, values));
                }
            };
            for (part, at_ms, what) in order {
                match what {
                    Minute::Misses => {}
                    Minute::Shows => {
                        let place = *places[part].get_or_insert_with(|| steps.join(part as u64, 0));
                        let put = steps.put(place, at_ms, (part as i64 * 100_000_000 + at_ms) as f64, &mut close);
                        prop_assert_ne!(put, Put::Late);
                    }
                    Minute::Ends | Minute::Leaves => {
                        let Some(place) = places[part] else { continue };
                        steps.end(place, at_ms, &mut close);
                        if what == Minute::Leaves {
                            steps.leave(place, &mut close);
                            places[part] = None;
                        }
                    }
                }
            }
            // What is left open is closed when all have ended.
            places.iter().flatten().for_each(|place| steps.end(*place, 4_000_000, &mut close));
            prop_assert!(steps.open.is_empty());
            Ok(closed)
        };
        prop_assert_eq!(arrive(&[0; 7])?, arrive(&delays)?);
    }
}
