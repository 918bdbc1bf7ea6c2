//! What a series keeps of the board.

use super::board::{Board, Context};
use super::calendar::Stretch;
use super::effect::Effect;

/// The contexts that are for one series. Nothing lies apart where none is.
#[derive(Debug, Default)]
pub struct Attached {
    /// Which board it was asked of.
    generation: u32,
    some: Option<Box<Attachment>>,
}

/// The contexts of a series that has some.
#[derive(Debug)]
struct Attachment {
    /// Their places on the board.
    places: Box<[u16]>,
    /// What they do from when to when: until the next change of any of them.
    effect: Option<Effect>,
    known: Stretch,
}

// === impl Attached ===

impl Attached {
    /// Whether it is to be asked of `board` which contexts are for the series.
    #[inline]
    pub fn is_outdated(&self, board: &Board) -> bool {
        self.generation != board.generation
    }

    /// Asks `board` which contexts are for the series of these labels.
    pub fn attach(&mut self, board: &Board, labels: &[(&str, &str)]) {
        let goes_on = board.goes_on_from(self.generation);
        let known = self.some.take().filter(|_| goes_on);
        self.generation = board.generation;
        let first = if goes_on { board.count().saturating_sub(1) } else { 0 };
        let mut places = known.map(|known| known.places.into_vec()).unwrap_or_default();
        places.extend(board.places_for(labels, first));
        if !places.is_empty() {
            let nothing = Stretch { from_ms: 0, until_ms: 0 };
            self.some = Some(Box::new(Attachment { places: places.into(), effect: None, known: nothing }));
        }
    }

    /// What is done with a score of `at_ms`, by the board that was asked last.
    #[inline]
    pub fn effect_at(&mut self, board: &Board, at_ms: i64) -> Option<Effect> {
        let some = self.some.as_mut()?;
        if !some.known.holds(at_ms) {
            some.look_up(board, at_ms);
        }
        some.effect
    }

    /// The context by which [`Self::effect_at`] says what it says.
    pub fn deciding<'a>(&self, board: &'a Board, at_ms: i64) -> Option<&'a Context> {
        let some = self.some.as_ref()?;
        let mut contexts = some.places.iter().filter_map(|place| board.context(*place));
        contexts.find(|context| Some(context.effect) == some.effect && context.calendar.at(at_ms).is_open)
    }
}

// === impl Attachment ===

impl Attachment {
    #[cold]
    fn look_up(&mut self, board: &Board, at_ms: i64) {
        self.effect = None;
        self.known = Stretch { from_ms: i64::MIN, until_ms: i64::MAX };
        for context in self.places.iter().filter_map(|place| board.context(*place)) {
            let moment = context.calendar.at(at_ms);
            self.known = self.known.within(moment.known);
            self.effect = self.effect.max(Some(context.effect).filter(|_| moment.is_open));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Announced, Calendar, Effect, narrow};

    const LABELS: [(&str, &str); 2] = [("__name__", "up"), ("job", "a")];

    fn context(name: &str, selector: &str, effect: Effect, window: [i64; 2]) -> Context {
        let [from_ms, until_ms] = window;
        let calendar = Calendar::once(Stretch { from_ms, until_ms });
        Context::new(name, vec![narrow(selector).unwrap()], effect, calendar)
    }

    fn announced(board: &Board, at: i64) -> Announced {
        let selector = ["up", "up{job=\"b\"}", "{job=\"a\"}"][at as usize % 3];
        let effect = [Effect::Annotate, Effect::Suppress, Effect::Learn][at as usize / 3 % 3];
        let window = [at * 10, at * 10 + 25];
        let context = context(&at.to_string(), selector, effect, window);
        board.announcement(at.to_string(), Stretch { from_ms: window[0], until_ms: window[1] }, context)
    }

    fn effects(attached: &mut Attached, board: &Board) -> Vec<Option<Effect>> {
        (-5..200).map(|at_ms| attached.effect_at(board, at_ms)).collect()
    }

    /// A series that was seen after each announcement, one that was seen after some, and one that comes last.
    #[test]
    fn what_is_announced_bit_by_bit_holds_as_if_it_had_been_there_at_once() {
        let mut board = Board::new(vec![context("x", "up", Effect::Learn, [50, 60])]);
        let (mut always, mut sometimes) = (Attached::default(), Attached::default());
        for at in 0..12 {
            always.attach(&board, &LABELS);
            if at % 5 == 0 {
                sometimes.attach(&board, &LABELS);
            }
            effects(&mut always, &board);
            board = board.adding(announced(&board, at));
            if at == 7 {
                board = board.announcing(board.announced().iter().skip(2).cloned().collect());
            }
        }
        let [want, all, some] = [&mut Attached::default(), &mut always, &mut sometimes].map(|attached| {
            assert!(attached.is_outdated(&board));
            attached.attach(&board, &LABELS);
            assert!(!attached.is_outdated(&board));
            effects(attached, &board)
        });
        assert_eq!((&all, &some), (&want, &want));
        let has = |effect| want.contains(&Some(effect));
        assert!(has(Effect::Annotate) && has(Effect::Learn) && has(Effect::Suppress) && want.contains(&None));
    }

    #[test]
    fn a_series_that_no_context_is_for_keeps_nothing() {
        let board = Board::new(vec![context("x", "up{job=\"b\"}", Effect::Suppress, [0, 100])]);
        let mut attached = Attached::default();
        attached.attach(&board, &LABELS);
        assert!(attached.some.is_none() && attached.effect_at(&board, 50).is_none());
    }
}
