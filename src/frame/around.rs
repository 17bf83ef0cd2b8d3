//! What was around a message, as it is handed on with it.

use super::{Layers, Mac, network};

/// What was around a message: all layers, or the few of a plain packet, from which they are made where somebody wants
/// them.
#[derive(Clone, Copy, Debug)]
pub enum Around<'a> {
    /// All of them.
    Layers(&'a Layers),
    /// Ethernet alone.
    Ethernet {
        /// Its two hardware addresses, as they stand in the packet: destination, source.
        macs: &'a [u8; 12],
        /// The VLAN identifier; 0 where there is none (IEEE 802.1Q: a priority tag).
        vlan: u16,
    },
}

impl Around<'_> {
    /// As [`Layers::network`].
    #[inline(always)]
    #[must_use]
    pub fn network(&self) -> u64 {
        match self {
            Self::Layers(layers) => layers.network(),
            Self::Ethernet { vlan: 0, .. } => 0,
            Self::Ethernet { vlan, .. } => network(0, &[*vlan]),
        }
    }

    /// As [`Layers::are_tapped`].
    #[inline(always)]
    #[must_use]
    pub fn is_tapped(&self) -> bool {
        matches!(self, Self::Layers(layers) if layers.are_tapped())
    }

    /// All of them.
    #[must_use]
    pub fn to_layers(&self) -> Layers {
        match *self {
            Self::Layers(layers) => layers.clone(),
            Self::Ethernet { macs, vlan } => {
                let &[a, b, c, d, e, f, g, h, i, j, k, l] = macs;
                Layers {
                    vlan: (vlan != 0).then_some(vlan).into_iter().collect(),
                    macs: Some((Mac([g, h, i, j, k, l]), Mac([a, b, c, d, e, f]))),
                    ..Layers::default()
                }
            }
        }
    }
}
