//! What was learned as bytes, and back: what a snapshot keeps.
//!
//! Numbers stand in the order of the fields, little-endian, without names or lengths. A layout has a fingerprint
//! ([`super::State::layout`]), so that bytes of another one are never read; what is read is checked to be numbers.

/// Something of which all can be kept.
pub(super) trait Kept: Sized {
    /// Appends the names and the types of what is kept, in order.
    fn layout(to: &mut String);

    /// Appends it to `to`.
    fn keep(&self, to: &mut Vec<u8>);

    /// Takes it from the front of `from`; nothing where that is too short, or holds no number.
    fn recall(from: &mut &[u8]) -> Option<Self>;
}

/// Implements [`Kept`] field by field; those `without` are not kept, and begin anew.
macro_rules! kept {
    ($type:ty { $($field:ident),* $(,)? } $(without $($anew:ident),+)?) => {
        impl $crate::detect::kept::Kept for $type {
            fn layout(to: &mut String) {
                to.push_str(concat!(stringify!($type), " {"));
                $(
                    to.push_str(concat!(stringify!($field), ": "));
                    $crate::detect::kept::layout_of(|of: &Self| &of.$field, to);
                )*
                to.push('}');
            }

            fn keep(&self, to: &mut Vec<u8>) {
                let Self { $($field,)* $($($anew: _,)+)? } = self;
                $($crate::detect::kept::Kept::keep($field, to);)*
            }

            fn recall(from: &mut &[u8]) -> Option<Self> {
                Some(Self {
                    $($field: $crate::detect::kept::Kept::recall(from)?,)*
                    $($($anew: Default::default(),)+)?
                })
            }
        }
    };
}
pub(super) use kept;

/// Appends the layout of a field.
pub(super) fn layout_of<T, F: Kept>(_: fn(&T) -> &F, to: &mut String) {
    F::layout(to);
}

macro_rules! number {
    ($($type:ty, $is_sound:expr;)*) => {$(
        impl Kept for $type {
            fn layout(to: &mut String) {
                to.push_str(concat!(stringify!($type), " "));
            }

            fn keep(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn recall(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*bytes)).filter($is_sound)
            }
        }
    )*};
}

number! {
    f64, |number| number.is_finite();
    f32, |number| number.is_finite();
    i64, |_| true;
    u32, |_| true;
    u16, |_| true;
    i16, |_| true;
    u8, |_| true;
    i8, |_| true;
}

impl Kept for bool {
    fn layout(to: &mut String) {
        to.push_str("bool ");
    }

    fn keep(&self, to: &mut Vec<u8>) {
        u8::from(*self).keep(to);
    }

    fn recall(from: &mut &[u8]) -> Option<Self> {
        match u8::recall(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Kept + Copy + Default, const N: usize> Kept for [T; N] {
    fn layout(to: &mut String) {
        T::layout(to);
        to.push_str(&format!("* {N} "));
    }

    fn keep(&self, to: &mut Vec<u8>) {
        self.iter().for_each(|each| each.keep(to));
    }

    fn recall(from: &mut &[u8]) -> Option<Self> {
        let mut all = [T::default(); N];
        for each in &mut all {
            *each = T::recall(from)?;
        }
        Some(all)
    }
}

impl<T: Kept> Kept for Option<Box<T>> {
    fn layout(to: &mut String) {
        to.push_str("? ");
        T::layout(to);
    }

    fn keep(&self, to: &mut Vec<u8>) {
        self.is_some().keep(to);
        if let Some(each) = self {
            each.keep(to);
        }
    }

    fn recall(from: &mut &[u8]) -> Option<Self> {
        Some(if bool::recall(from)? { Some(Box::new(T::recall(from)?)) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;
    use crate::detect::hybrid::State;

    #[test]
    fn the_layout_names_every_field_of_every_depth() {
        let mut layout = String::new();
        State::layout(&mut layout);
        for part in
            ["State {samples: u32 ", "Tail {start: f32 ", "Median {median: f64 ", "numbers: i8 * 168 "]
        {
            assert!(layout.contains(part), "{part} is not in {layout}");
        }
        assert!(!layout.contains("is_fresh"), "{layout}");
    }
}
