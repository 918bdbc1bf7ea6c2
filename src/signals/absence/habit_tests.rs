use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const START: i64 = 1_700_000_000_000;

fn wishes() -> Wishes {
    Wishes {
        after: 3,
        seen_for_ms: HOUR,
        forget_after_ms: HOUR,
        a_week: 1.0,
        max_series: 10,
        told: Arc::default(),
    }
}

fn watched() -> Habit {
    Habit { place: Some(Place { book: 0, watch: 0 }), ..Habit::default() }
}

/// Notes samples at these times, in milliseconds from the start; gives what the book gets to know.
fn note(habit: &mut Habit, times: impl IntoIterator<Item = i64>) -> Vec<Told> {
    let mut news = Vec::new();
    times.into_iter().for_each(|at_ms| habit.note(START + at_ms, Some(&wishes()), &mut news));
    news.into_iter().map(|news| news.told).collect()
}

fn every(seconds: i64, times: std::ops::Range<i64>) -> impl Iterator<Item = i64> {
    times.map(move |n| n * seconds * SECOND)
}

#[test]
fn the_step_is_the_usual_interval_whatever_one_of_them_was() {
    let mut habit = watched();
    note(&mut habit, every(15, 0..4));
    assert_eq!(habit.step_ms(), 0, "three intervals say nothing");
    note(&mut habit, every(15, 4..30));
    note(&mut habit, [30 * 15 * SECOND - 9 * SECOND, 30 * 15 * SECOND, 31 * 15 * SECOND + 4 * SECOND]);
    note(&mut habit, every(15, 33..42));
    assert_eq!((habit.step_ms(), habit.limit()), (15 * SECOND, 3));
}

#[test]
fn a_series_that_goes_on_tells_the_book_nothing_until_it_is_looked_after_and_one_that_goes_faster_does() {
    let mut habit = watched();
    let told = note(&mut habit, every(60, 0..1_000));
    let due = |at: i64, step: i64| START + at + 3 * step + step / 2;
    let minute = 60 * SECOND;
    assert_eq!(told[1..], [Told::Due(due(4 * minute, minute))]);
    // It is looked after at once: three steps of a minute are too long to wait for now.
    habit.glance();
    let told = note(&mut habit, (1..20).map(|n| 999 * minute + n * 5 * SECOND));
    assert!(matches!(told[..], [Told::Due(due_ms)] if due_ms < START + 1_002 * minute), "{told:?}");
}

#[test]
fn who_is_often_away_may_be_for_half_as_long_again_and_who_was_once_may_not() {
    let mut habit = watched();
    let day = 24 * HOUR;
    // There for twenty hours of each day.
    let days =
        |days: std::ops::Range<i64>| days.flat_map(move |n| every(60, 0..1_200).map(move |at| n * day + at));
    note(&mut habit, days(0..2));
    assert_eq!(habit.limit(), 3, "once");
    note(&mut habit, days(2..3));
    assert_eq!((habit.usual_gap_ms(), habit.limit()), (4 * HOUR + 60 * SECOND, 361), "twice");
    note(&mut habit, days(3..20));
    assert_eq!(habit.limit(), 361, "each day");
    // Then it goes on all the time, until nobody remembers.
    note(&mut habit, every(60, 20 * 1_440..41 * 1_440));
    assert_eq!(habit.limit(), 361, "in the last four weeks it was away more than once a week");
    note(&mut habit, every(60, 41 * 1_440..49 * 1_440));
    assert_eq!(habit.limit(), 3);
}

#[test]
fn what_comes_at_any_time_is_not_missed_for_longer_than_it_often_takes() {
    let mut habit = watched();
    // Intervals of a minute and a little, and of up to ten now and then.
    let times = (0..2_000_i64).scan(0, |at, n| {
        let long = if n.wrapping_mul(7_919) % 97 == 0 { (n % 9) * 60 } else { 0 };
        *at += (50 + n * 31 % 21 + long) * SECOND;
        Some(*at)
    });
    let told = note(&mut habit, times);
    assert!((50 * SECOND..70 * SECOND).contains(&habit.step_ms()));
    let away = told.iter().filter(|told| matches!(told, Told::Back { missing: Some(_), .. })).count();
    assert!((1..5).contains(&away), "{away}: it is told until it is a habit");
    assert!((8..20).contains(&habit.limit()), "{}", habit.limit());
}

#[test]
fn a_gap_is_told_with_what_was_usual_before_it() {
    let mut habit = watched();
    note(&mut habit, every(10, 0..100));
    let told = note(&mut habit, [2_000 * SECOND]);
    let [Told::Back { missing: Some(missing), due_ms: Some(due_ms) }] = told[..] else { panic!("{told:?}") };
    assert_eq!((missing.from_ms, missing.step_ms, missing.limit), (START + 990 * SECOND, 10 * SECOND, 3));
    assert_eq!(due_ms, START + 2_035 * SECOND);
    assert_eq!(habit.lived_ms(), 990 * SECOND, "without the time away");
}

proptest! {
    #[test]
    fn what_is_kept_goes_on_as_what_is_not(
        intervals in prop::collection::vec((1..400_000_i64, prop::bool::weighted(0.05)), 1..200),
        split in 0..200_usize,
    ) {
        let play = |forgets_at: Option<usize>| {
            let (mut habit, mut at_ms, mut news) = (watched(), START, Vec::new());
            for (n, (interval_ms, ends)) in intervals.iter().enumerate() {
                if forgets_at == Some(n) {
                    let mut bytes = Vec::new();
                    habit.keep(&mut bytes);
                    let from = &mut &*bytes;
                    habit = Habit::recall(from).expect("it was kept");
                    assert!(from.is_empty());
                    habit.settle(Place { book: 0, watch: 0 }, false, Some(&Arc::new(wishes())));
                }
                at_ms += interval_ms;
                habit.note(at_ms, Some(&wishes()), &mut news);
                if *ends {
                    habit.end(at_ms + 1, &mut news);
                }
            }
            // When it is looked after depends on the book, which is new.
            habit.due_ms = 0;
            habit.learn(&wishes());
            news.retain(|news| !matches!(news.told, Told::Due(_)));
            let told: Vec<_> = news.into_iter().map(|news| (news.at_ms, matches!(news.told, Told::End))).collect();
            (habit, told)
        };
        prop_assert_eq!(play(None), play(Some(split)));
    }

    #[test]
    fn whatever_bytes_are_recalled_nothing_breaks(bytes in prop::collection::vec(any::<u8>(), 0..400), times in prop::collection::vec(any::<i64>(), 0..20)) {
        if let Some(mut habit) = Habit::recall(&mut &*bytes) {
            habit.settle(Place { book: 0, watch: 0 }, true, Some(&Arc::new(wishes())));
            let mut news = Vec::new();
            for at_ms in times {
                habit.note(at_ms, Some(&wishes()), &mut news);
                habit.glance();
                habit.end(at_ms, &mut news);
            }
        }
    }
}
