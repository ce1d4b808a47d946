"""The PyPI library `python-telegram-bot`: a stranger's check of the simulated Telegram, with its base URL set. Tells
what it saw as JSON lines. It must not share a line of code with Patchbay."""

import asyncio
import json
import sys

import telegram
import telegram.error

BASE, TOKEN = sys.argv[1:3]


def tell(what, **fields):
    print(json.dumps({"what": what, **fields}), flush=True)


def bot(token):
    return telegram.Bot(token, base_url=f"{BASE}/bot", base_file_url=f"{BASE}/file/bot")


async def refused():
    try:
        async with bot("1:wrong"):
            pass
    except telegram.error.InvalidToken as error:
        tell("refused", error=str(error))


async def main():
    await refused()
    async with bot(TOKEN) as me:
        tell("me", name=me.username)
        updates = await me.get_updates(timeout=1)
        for update in updates:
            if update.callback_query:
                await update.callback_query.answer()
                tell("tapped", data=update.callback_query.data)
            elif update.message.photo:
                file = await update.message.photo[-1].get_file()
                octets = bytes(await file.download_as_bytearray())
                tell("photo", octets=octets.hex())
            else:
                tell("text", text=update.message.text, chat=update.message.chat.id)
        chat = next(update.message.chat.id for update in updates if update.message)
        markup = telegram.InlineKeyboardMarkup.from_row(
            [telegram.InlineKeyboardButton(title, callback_data=f"pick-{title}") for title in ("Yes", "No")]
        )
        sent = await me.send_message(chat, "<b>Shall</b> we? 👋", parse_mode="HTML", reply_markup=markup)
        tell("sent", id=sent.message_id, text=sent.text)
        photo = await me.send_photo(chat, "https://files.example/cat.png", caption="A cat")
        tell("sent_photo", id=photo.message_id, caption=photo.caption)
        document = await me.send_document(chat, b"%PDF-1.4 uploaded", filename="paper.pdf")
        tell("sent_document", id=document.message_id)
        try:
            await me.send_message(chat, "")
        except telegram.error.BadRequest as error:
            tell("bad", error=str(error))
        left = await me.get_updates(offset=updates[-1].update_id + 1, timeout=0)
        tell("done", left=len(left))


asyncio.run(main())
