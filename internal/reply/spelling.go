package reply

import (
	"regexp"
	"strings"
)

// simplified maps the traditional characters that people write about money, phones and time to the simplified ones.
var simplified = pairs(
	"訂電話簡訊號碼發給聯絡繫還錢帳賬單對錯這個沒們來過後會說時間點禮貸債額數銀行務員調雙難處無開關張場廠問題請謝壓準備總"+
		"轉匯繳費據證實馬上讓許該誰麼為與從當頭寫標區親屬婦兒孫媽爺鄰園戶門別隨現業離職醫療傷貧災風險輕樓藥結斷絕騷擾煩惱催"+
		"舉報訴訟師協議責檢舉罵嚇脅惡劣態擬約導進減緩條歲齡夠鐘週幾萬億兩雖書記認識錄聽覺歡樂營銷廣騙詐盜冒簽複覆復應協會"+
		"滿舊東車動運連遲產資產權續線網頁資訊息關閉檔案邊係嘅俾冇咗啲嚟喺佢哋唔睇點解乜嘢畀囉噉咁佔護傳達單筆獎懲並願於寬"+
		"補賠償盡優惠緊繼腦體壞紅綠藍黃陽陰熱溫氣課學習師範榮譽辦裡裏內務拋換誤傳誰齊預備鬧剛趕強製監獄審辯誠懇經濟財"+
		"嗎殺暫領賺買賣僱勞禍詢確餘罰攔異爭嚴將轟爛塊辭儘鎖夥國鄉縣鎮陳劉鄭楊吳趙華遞響幣飯隊階寶帶礙賭憤撤儲質稅見罷寧驗臨懷夢滅"+
		"閱聞遲聾瞭"+
		"養兩顧棄擺脫卻恆慣滾隱瞞徵聲紀錄線遠變壞遺囑繩燒農護僅終歸執設計劃歷曆屆滯納墊幫撥聞靜擔憂憐樣憑賴徑屢淨啟",
	"订电话简讯号码发给联络系还钱账账单对错这个没们来过后会说时间点礼贷债额数银行务员调双难处无开关张场厂问题请谢压准备总"+
		"转汇缴费据证实马上让许该谁么为与从当头写标区亲属妇儿孙妈爷邻园户门别随现业离职医疗伤贫灾风险轻楼药结断绝骚扰烦恼催"+
		"举报诉讼师协议责检举骂吓胁恶劣态拟约导进减缓条岁龄够钟周几万亿两虽书记认识录听觉欢乐营销广骗诈盗冒签复复复应协会"+
		"满旧东车动运连迟产资产权续线网页资讯息关闭档案边系嘅俾冇咗啲嚟喺佢哋唔睇点解乜嘢畀啰噉咁占护传达单笔奖惩并愿于宽"+
		"补赔偿尽优惠紧继脑体坏红绿蓝黄阳阴热温气课学习师范荣誉办里里内务抛换误传谁齐预备闹刚赶强制监狱审辩诚恳经济财"+
		"吗杀暂领赚买卖雇劳祸询确余罚拦异争严将轰烂块辞尽锁伙国乡县镇陈刘郑杨吴赵华递响币饭队阶宝带碍赌愤撤储质税见罢宁验临怀梦灭"+
		"阅闻迟聋了"+
		"养两顾弃摆脱却恒惯滚隐瞒征声纪录线远变坏遗嘱绳烧农护仅终归执设计划历历届滞纳垫帮拨闻静担忧怜样凭赖径屡净启")

// marks maps signs to the ASCII ones that rules use.
var marks = pairs("’‘´`“”「」『』。、，！？；：·•—–−～〜\r\u2028\u2029\u0085êéè", "''''\"\"\"\"\"\".,,!?;:  ---~~ \n\n\neee")

// cantonese writes spoken Cantonese, and what Hong Kong and Taiwan call otherwise, in the words that rules use.
var cantonese = strings.NewReplacer(
	"唔好意思", "不好意思", "唔该", "麻烦", "唔好", "不要", "唔使", "不用", "唔洗", "不用", "唔系", "不是", "我系", "我是", "唔", "不", "冇", "没", "咗", "了", "俾钱", "还钱", "畀钱", "还钱",
	"比钱", "还钱", "找数", "还钱", "过数", "转账", "入数", "转账", "俾", "给", "畀", "给", "系咪", "是不是", "系边个", "是谁", "边个", "谁",
	"点解", "为什么", "点样", "怎么", "点算", "怎么办", "乜嘢", "什么", "做乜", "为什么", "几时", "什么时候", "嘅", "的", "嚟", "来", "喺", "在", "佢", "他", "哋", "们",
	"啲", "些", "仲", "还", "睇", "看", "听日", "明天", "明日", "明天", "听晚", "明晚", "后日", "后天", "今日", "今天", "寻日", "昨天", "琴日", "昨天", "昨日", "昨天",
	"出粮", "发工资", "发薪水", "发工资", "发薪", "发工资", "领薪水", "发工资", "领薪", "发工资", "薪水", "工资", "简讯", "短信", "转帐", "转账", "帐单", "账单", "客诉", "投诉",
	"失咗业", "失业", "呃人", "骗人", "星期日", "星期天", "返工", "上班", "收工", "下班", "钟头", "小时", "电邮", "邮件", "电子邮箱", "邮件", "讯息", "信息", "律师楼", "律师")

// spellings maps words to the one spelling that rules use; "" is a filler.
var spellings = table("", "please pls plz plse pleas plss kindly just really even ever actually fucking fuckin fkn freaking damn goddamn bloody simply",
	"stop", "stopp stpo sotp st0p stp stoop s.t.o.p",
	"unsubscribe", "unsubcribe unsuscribe unsubscrib unsubscibe unsubsribe unsubsrcibe unsubscirbe unsubscribed unsub",
	"cancel", "cancle cancell", "quit", "qiut", "opt out", "optout optingout",
	"do not", "dont donot don", "can not", "cannot cant", "will not", "wont won't", "did not", "didnt", "does not", "doesnt", "is not", "isnt ain't aint",
	"was not", "wasnt", "have not", "havent", "has not", "hasnt", "could not", "couldnt", "would not", "wouldnt", "should not", "shouldnt", "are not", "arent",
	"i am", "im", "i have", "ive", "you", "u ya y'all yall", "your", "ur", "tomorrow", "tmr tmrw tmw tomoro tomorow tommorow tommorrow 2moro 2morrow tomorrrow",
	"tonight", "tonite 2nite", "message", "msg mesage", "messages", "msgs", "text", "txt", "texts", "txts", "texting", "txting textin", "calling", "callin",
	"phone", "fone", "thanks", "thx thanx thnx tks", "going to", "gonna", "want to", "wanna", "got to", "gotta", "lawyer", "lawer laywer", "attorney", "attorny attourney",
	"paid", "payed", "already", "alredy allready alrdy", "someone", "sb", "because", "cuz coz bc", "with", "w", "before", "b4", "number", "numbr nmbr numba",
	"wrong", "worng wrng", "friday", "fri", "monday", "mon", "tuesday", "tue tues", "wednesday", "wed weds", "thursday", "thu thur thurs", "saturday", "sat", "sunday", "sun",
	"fridays", "fris", "until", "till til", "and", "&", "whatsapp", "watsapp", "receive", "recieve", "never", "nvr", "people", "ppl", "what is", "whats", "how is", "hows", "who is", "whos", "where is", "wheres", "when is", "whens", "that is", "thats")

// pronouns are what 'd is short for would after.
var pronouns = map[string]bool{"i": true, "you": true, "we": true, "they": true, "he": true, "she": true, "it": true, "who": true, "that": true, "there": true}

var contractions = map[string]string{"m": " am", "ll": " will", "ve": " have", "re": " are", "d": " would", "s": " is", "t": " not"}

var (
	quoteHead = regexp.MustCompile(`^(?:-+ ?(?:original message|forwarded message|原始邮件|原邮件|转发)|on .{6,80} wrote ?:|在?\d{4}年.{2,40}写道 ?:|发件人 ?:|from ?:.*@)`)
	signature = regexp.MustCompile(`^(?:sent from my|sent via|get outlook for|发自我的|来自我的|发送自)`)
)

// pairs maps each character of from to the one of to in the same place.
func pairs(from, to string) map[rune]rune {
	a, b := []rune(from), []rune(to)
	if len(a) != len(b) {
		panic("reply: the two lists of characters differ in length")
	}
	out := make(map[rune]rune, len(a))
	for i := range a {
		if a[i] != b[i] {
			out[a[i]] = b[i]
		}
	}
	return out
}

// table maps each word of a list to the spelling before it.
func table(rows ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i+1 < len(rows); i += 2 {
		for _, w := range strings.Fields(rows[i+1]) {
			out[w] = rows[i]
		}
	}
	return out
}
