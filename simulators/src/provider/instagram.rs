//! The description of Instagram messaging; its wire form is in `family/messenger`.

use crate::{
    contract::{About, Credential},
    family::messenger::{APP_ID, APP_SECRET, DEMAND_PROOF, Messenger, MetaProduct, RETRY, VERIFY_TOKEN},
};

pub(crate) static INSTAGRAM: Messenger = Messenger {
    about: About {
        name: "instagram",
        title: "Instagram",
        credentials: &[
            Credential {
                key: "access_token",
                default: "EAAsimulated",
                purpose: "the page's or the user's token",
            },
            Credential {
                key: "page_id",
                default: "300000000000001",
                purpose: "the page, with Facebook Login",
            },
            Credential { key: "account_id", default: "500000000000001", purpose: "the account in webhooks" },
            APP_SECRET,
            VERIFY_TOKEN,
            APP_ID,
            DEMAND_PROOF,
        ],
        batch_max: 1_000,
        retry: RETRY,
        polls: false,
        customer: "7700112233",
    },
    product: MetaProduct::Instagram,
};
