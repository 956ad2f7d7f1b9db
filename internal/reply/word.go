package reply

import "strings"

// classes are the classes of words that patterns use as {name}, over folded text.
var classes = strings.NewReplacer(
	// Refusing, Chinese. {neg} tells someone not to; {gap} is a few characters of the same clause.
	"{neg}", `(?:别|不要|不用|不必|不需要|无需|不准|不许|不得|(?:你们?|请)不(?:可以|能)|不想|不希望|不愿意|不愿|不接受|不同意|请勿|切勿|勿|莫|甭|休想|禁止|停止|拒绝|少(?:再|给|来|打|发)|不再|能不(?:能不)?|可不可以不|可以不|可否不|麻烦不|请不)`,
	"{ban}", `(?:别|不要|不用|不必|不准|不许|不得|(?:你们?|请)不(?:可以|能)|请勿|切勿|勿|莫|甭|禁止|停止|少(?:再|给|来|打|发)|拒绝|不希望)`,
	"{gap}", `[^,.!?;\n]{0,8}`,
	"{gap4}", `[^,.!?;\n]{0,4}`,
	"{gap16}", `[^,.!?;\n]{0,16}`,
	"{rest}", `[^,.!?;\n]*`,
	"{callzh}", `(?:打电话|打手机|打座机|电话|打给|打来|打过来|打到|打我|打了|打啦|再打|打(?:$|[,.!?;\n])|来电|致电|拨打|拨号|呼叫|呼我|外呼|语音|夺命call|call)`,
	"{textzh}", `(?:短信|短讯|信息|消息|line|传给|传来|传过来|传讯|再传|发给|发来|发过来|给我发|发我|发了|再发|发(?:$|[,.!?;\n])|推送|群发|邮件|微信|email|sms|信函|信件)`,
	"{reachzh}", `(?:联系|联络|骚扰|打扰|打搅|烦我|烦人|找我|轰炸|私信|加我|纠缠|催收|收到|接到|接收)`,
	"{urgezh}", `(?:催|提醒|通知)`,
	"{kinzh}", `(?:家人|家里人|家属|家里(?:的)?老人|父母|爸妈|爸爸|妈妈|我爸|我妈|老爸|老妈|爹|老婆|老公|妻子|丈夫|媳妇|太太|先生|爱人|对象|女朋友|男朋友|女友|男友|孩子|儿子|女儿|小孩|亲戚|亲人|亲友|亲属|朋友|同事|领导|老板|上司|主管|紧急联系人|联系人|通讯录|邻居|室友|同学|老师|我哥|我姐|我弟|我妹|哥哥|姐姐|弟弟|妹妹|爷爷|奶奶|岳父|岳母|公公|婆婆|村委|村里|居委|别人|其他人|他人|旁人|外人|第三方|第三人|无关的?人|担保人|任何人|家里)`,
	"{workzh}", `(?:单位|公司|办公室|工作的地方|上班的地方|店里|厂里|工厂|工地|学校|前台|座机|固话|总机)`,
	"{homezh}", `(?:家里(?:的)?(?:电话|座机|固话)|家里座机|上门|我家(?:里)?(?:来|找|闹|$|[,.!?;\n])|来我家|到我家|去我家|住处|老家)`,
	"{timezh}", `(?:早上|早晨|一大早|大清早|大早上|上午|中午|午休|下午|傍晚|晚上|夜里|夜间|半夜|大半夜|深夜|凌晨|白天|上班(?:的)?(?:时间|时候|期间|时)?|工作时间|休息时间|睡觉|周末|节假日|假期|休息日|双休日|工作日|星期[一二三四五六天]|周[一二三四五六日]|礼拜[一二三四五六天]|[0-9一二三四五六七八九十]{1,3}(?:点|:[0-9]{2}))`,
	"{nowzh}", `(?:现在|目前|今天|今晚|今早|明天|这几天|这两天|这会儿?|开会|开车|上课|暂时|先)`,
	// Refusing, English.
	"{stopv}", `(?:stop|quit|cease|halt|discontinue|desist from|refrain from)`,
	"{ger}", `(?:calling|phoning|ringing|dialing|dialling|texting|messaging|msging|contacting|emailing|harassing|bothering|spamming|bugging|pestering|disturbing|annoying|notifying|reminding|writing|hounding|stalking|blowing|whatsapping|dming|pinging|robocalling|smsing|bombarding|hassling|threatening|chasing|nagging|asking|demanding|begging|hitting|reaching|sending|leaving voicemails?|leaving messages)`,
	"{thing}", `(?:calls?|phone ?calls?|texts?|text messages?|messages?|sms|smses|emails?|reminders?|notifications?|contact|communications?|correspondence|letters?|alerts?|spam|robo ?calls?|voicemails?|whatsapp|updates|stuff)`,
	"{reach}", `(?:call|phone|ring|dial|text|message|contact|email|remind|notify|bother|harass|disturb|whatsapp|sms|dm|ping|write to|write|bug|hassle|pester|reach out|chase|send (?:me |us )?(?:any |more |any more |anymore |another |these |those |this |a )*(?:{thing}|anything|me)|keep {ger})`,
	"{kin}", `(?:wife|wifes|husband|husbands|spouse|partner|mom|mum|mother|mothers|dad|father|parents?|family|kids?|child|children|son|daughter|sister|brother|siblings|relatives?|friends?|boss|manager|supervisor|co-?workers?|colleagues?|references?|emergency contacts?|contacts|landlord|neighbou?rs?|roommates?|girlfriend|boyfriend|fiancee?|in-?laws?|grand(?:ma|pa|mother|father|parents)|aunt|uncle|cousin|hr|folks|household|ex)`,
	"{no}", `(?:(?:do|must|should|may|can|could|to) not|never|no need to|not to|not)`,
	"{not}", `(?:(?:do|must|should|may|can|could|to) not|never|not to|not)`,
	"{workplace}", `(?:work(?:place)?|(?:the )?office|job|place of (?:work|employment|business)|employer|business)`,
	"{clock}", `(?:[0-9]{1,2}(?::[0-9]{2})? ?(?:am|pm|a\.m\.?|p\.m\.?|o ?clock|oclock)?|noon|midnight|dark|dinner|work|six|seven|eight|nine|ten|five|lunch)`,
	"{weekday}", `(?:mon|tues|wednes|thurs|fri|satur|sun)day`,
	// Money and time.
	"{payzh}", `(?:还(?:款|钱|到|清|上(?:$|[^班课学])|掉|完|齐|你们?|给你们?|给贵|部分|一部分|一半|一点|一期|本金|利息|贷|账|债|最低|的?(?:$|[,.!;~\n])|[了吧哦哈啊呀哒滴嘛呢噢](?:$|[^吗?])|[0-9一两三四五六七八九十百千])|付(?:款|清|钱|掉|上|的?(?:$|[,.!;~\n])|[了吧])|缴(?:费|款|清|纳|上|钱|的?(?:$|[,.!;~\n])|[了吧])|交(?:钱|款|上|清|费|齐)|存(?:钱|进去|进|够|入|上|款)|转(?:账|过去|给你|钱|款|进去)|打(?:款|钱|过去|给你们)|结清|补上|补交|补齐|凑齐|汇(?:款|过去)|把(?:钱|款))`,
	"{pay}", `(?:pay(?: off| it| you| up| this| that| back| in full)?|make (?:a |the |my |this |that |another |full |partial )*payment|send (?:it|the money|money|payment|the payment|my payment|a payment|something|the rest|half|\$?[0-9]+)|submit (?:a |my |the )?payment|transfer|settle|clear (?:it|this|the|my)|deposit|catch up|take care of (?:it|this|that)|have (?:it|the money|your money|the payment|the funds|the full)|get (?:it|this|that|the payment|the money) (?:to you|done|paid|in|over|sorted)|payment will be|repay|bring (?:it|my account) current|zelle|venmo|wire)`,
)
