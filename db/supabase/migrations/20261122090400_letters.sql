-- Which letter an accepted mail is, whatever white space it came with.
--
-- Nearly every DKIM signature leaves white space open ("relaxed", RFC 6376, 3.4), so whoever holds a copy can
-- change it, and with it the content id, and sign nothing. The letter is alike for all such copies, and the
-- unique index makes one of them a specification even when two arrive at once. Null where nothing was signed.

alter table intake.mails add column letter text;

create unique index mails_letter_key on intake.mails (letter) where verdict = 'accepted';
create index idx_mails_rejected_letter on intake.mails (letter) where verdict = 'rejected';
