//! One series as bytes, and back.

use crate::batch::Sample;
use crate::detect::State;
use crate::pipeline::Memory;
use crate::series::ScopeName;
use crate::signals::{Habit, Signal};

/// More bytes than any text of a series has.
const LONGEST_TEXT: usize = 1 << 20;

/// Appends `memory` to `to`.
pub fn write(memory: &Memory, to: &mut Vec<u8>) {
    let (kind, name) = match &memory.scope {
        ScopeName::Tenant(name) => (0, name),
        ScopeName::Target(name) => (1, name),
    };
    to.push(kind);
    text(name, to);
    to.extend_from_slice(&(memory.labels.len() as u32).to_le_bytes());
    for (name, value) in &memory.labels {
        text(name, to);
        text(value, to);
    }
    to.push(u8::from(memory.signal == Signal::Rate));
    to.push(u8::from(memory.made));
    sample(memory.taught, to);
    sample(memory.newest, to);
    to.push(u8::from(memory.score.is_some()));
    to.extend_from_slice(&memory.score.unwrap_or_default().to_bits().to_le_bytes());
    memory.state.keep(to);
    to.push(u8::from(memory.habit.is_some()));
    memory.habit.iter().for_each(|habit| habit.keep(to));
}

/// Takes a series from the front of `from`; nothing where that is none.
pub fn read(from: &mut &[u8]) -> Option<Memory> {
    let kind = byte(from)?;
    let name = read_text(from)?.into_boxed_str();
    let scope = match kind {
        0 => ScopeName::Tenant(name),
        1 => ScopeName::Target(name),
        _ => return None,
    };
    let count = u32::from_le_bytes(array(from)?);
    // Each label takes eight bytes at the least, so a wrong number ends soon.
    let labels = (0..count).map(|_| Some((read_text(from)?, read_text(from)?))).collect::<Option<_>>()?;
    let signal = match byte(from)? {
        0 => Signal::Value,
        1 => Signal::Rate,
        _ => return None,
    };
    let made = byte(from)? == 1;
    let (taught, newest) = (read_sample(from)?, read_sample(from)?);
    let has_score = byte(from)? == 1;
    let score = f64::from_bits(u64::from_le_bytes(array(from)?));
    let state = State::recall(from)?;
    let habit = if byte(from)? == 1 { Some(Box::new(Habit::recall(from)?)) } else { None };
    let score = has_score.then_some(score);
    Some(Memory { scope, labels, signal, made, taught, newest, score, state, habit })
}

fn text(text: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(&(text.len() as u32).to_le_bytes());
    to.extend_from_slice(text.as_bytes());
}

/// Bits and all: a stale marker is a sample, too.
fn sample(sample: Option<Sample>, to: &mut Vec<u8>) {
    let Sample { timestamp_ms, value } = sample.unwrap_or(Sample { timestamp_ms: 0, value: 0.0 });
    to.push(u8::from(sample.is_some()));
    to.extend_from_slice(&timestamp_ms.to_le_bytes());
    to.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn read_sample(from: &mut &[u8]) -> Option<Option<Sample>> {
    let is_some = byte(from)? == 1;
    let timestamp_ms = i64::from_le_bytes(array(from)?);
    let value = f64::from_bits(u64::from_le_bytes(array(from)?));
    Some(is_some.then_some(Sample { timestamp_ms, value }))
}

fn read_text(from: &mut &[u8]) -> Option<String> {
    let length = u32::from_le_bytes(array(from)?) as usize;
    let (text, rest) = from.split_at_checked(length).filter(|_| length <= LONGEST_TEXT)?;
    *from = rest;
    std::str::from_utf8(text).ok().map(str::to_owned)
}

fn byte(from: &mut &[u8]) -> Option<u8> {
    array(from).map(|[byte]: [u8; 1]| byte)
}

fn array<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*bytes)
}
